//! [`Finder`]: how many connections at once are worth it.

/// How many connections there are before anything is known.
pub(super) const AT_FIRST: usize = 4;
/// How many more there are when more are tried.
const STEP: usize = 2;
/// Growth below it is chance.
const GROWTH: f64 = 1.05;
/// A step that pays brings at least such a share of what as many connections had brought before: the last ones on a link that is
/// full bring only what others leave between two files.
const STEP_SHARE: f64 = 1.0 / 3.0;
/// What is left of the number after trouble.
const AFTER_TROUBLE: f64 = 0.7;
/// Windows without a try after one that brought nothing: 20 s.
const REST: u32 = 10;
/// The same after trouble: 6 s.
const REST_AFTER_TROUBLE: u32 = 3;

/// What came through in a window, per second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Goodput {
    /// Files if they were small, else bytes.
    pub(super) per_second: f64,
    pub(super) small: bool,
}

/// Finds the number of connections at once. No clock, no lock: the decisions alone.
#[derive(Debug)]
pub(super) struct Finder {
    limit: usize,
    most: usize,
    /// What the last window brought, if the next one can be compared with it.
    before: Option<Goodput>,
    /// What the number was before the last step.
    raised_from: Option<usize>,
    /// Windows to wait for before the next step.
    rest: u32,
    /// A step has brought nothing, or there was trouble: about so many it is.
    has_settled: bool,
}

impl Finder {
    /// Begins with `first`, and never comes to more than `most`.
    pub(super) fn new(first: usize, most: usize) -> Self {
        Self {
            limit: first.clamp(1, most.max(1)),
            most: most.max(1),
            before: None,
            raised_from: None,
            rest: 0,
            has_settled: false,
        }
    }

    /// Whether each step has brought more until now.
    pub(super) fn is_growing(&self) -> bool {
        !self.has_settled
    }

    /// What follows from what a window brought. `is_full`: as many ran as may.
    pub(super) fn window(&mut self, seen: Goodput, is_full: bool) -> usize {
        let before = self.before.replace(seen);
        if !is_full {
            // It tells nothing about the number.
            self.before = None;
            self.raised_from = None;
            return self.limit;
        }
        if self.rest > 0 {
            self.rest -= 1;
            if self.rest == 0 {
                self.raise(seen.small);
            }
            return self.limit;
        }
        let comparable = before.filter(|before| before.small == seen.small);
        match comparable {
            Some(before) if seen.per_second < before.per_second * self.wanted(seen.small) => {
                // The last step brought nothing.
                self.limit = self.raised_from.take().unwrap_or(self.limit);
                self.rest = REST;
                self.has_settled = true;
            }
            _ => self.raise(seen.small),
        }
        self.limit
    }

    /// How many times as much as before makes the last step one that has paid. Small files wait rather than fill a link, and
    /// more of them cost next to nothing.
    fn wanted(&self, small: bool) -> f64 {
        match self.raised_from {
            Some(from) if !small => {
                let step = (self.limit - from) as f64 / from as f64;
                GROWTH.max(1.0 + step * STEP_SHARE)
            }
            _ => GROWTH,
        }
    }

    fn raise(&mut self, small: bool) {
        let raised = if small {
            self.limit * 2
        } else {
            self.limit + STEP
        };
        self.raised_from = Some(self.limit);
        self.limit = raised.min(self.most);
    }

    /// So many are worth a try, if there are not more already: what comes next is compared with what they bring.
    pub(super) fn at_least(&mut self, wanted: usize) -> usize {
        let wanted = wanted.min(self.most);
        if wanted > self.limit {
            self.limit = wanted;
            self.before = None;
            self.raised_from = None;
            self.rest = 0;
        }
        self.limit
    }

    /// What was too much are the `running` ones, not those that might have been: a number that nobody came up to is not
    /// what is taken from.
    pub(super) fn trouble(&mut self, running: usize) -> usize {
        let had = self.limit.min(running.max(AT_FIRST));
        self.limit = ((had as f64 * AFTER_TROUBLE) as usize).max(1);
        self.before = None;
        self.raised_from = None;
        self.rest = REST_AFTER_TROUBLE;
        self.has_settled = true;
        self.limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: f64 = 1024.0 * 1024.0;

    fn bytes(per_second: f64) -> Goodput {
        Goodput {
            per_second,
            small: false,
        }
    }

    fn files(per_second: f64) -> Goodput {
        Goodput {
            per_second,
            small: true,
        }
    }

    #[test]
    fn a_link_of_ten_connections_gets_ten_and_no_more_than_twelve_for_a_moment() {
        let mut finder = Finder::new(AT_FIRST, 32);
        let mut seen = Vec::new();
        for _ in 0..8 {
            let through = (finder.limit as f64).min(10.0) * 20.0 * MIB;
            seen.push(finder.window(bytes(through), true));
        }
        assert_eq!(seen, [6, 8, 10, 12, 10, 10, 10, 10]);
    }

    #[test]
    fn connections_that_only_fill_the_pauses_of_others_are_taken_back() {
        let mut finder = Finder::new(AT_FIRST, 32);
        let mut seen = Vec::new();
        for _ in 0..6 {
            // Ten fill the link but for their pauses, 6 % of the time.
            let through = (finder.limit as f64 * 0.094).min(0.94 + finder.limit as f64 * 0.001);
            seen.push(finder.window(bytes(through * 50.0 * MIB), true));
        }
        assert_eq!(seen, [6, 8, 10, 12, 10, 10]);
    }

    #[test]
    fn small_files_over_a_long_way_double_up_to_the_most() {
        let mut finder = Finder::new(AT_FIRST, 32);
        let seen: Vec<_> = (0..4)
            .map(|_| {
                let per_second = finder.limit as f64 * 10.0;
                finder.window(files(per_second), true)
            })
            .collect();
        assert_eq!(seen, [8, 16, 32, 32]);
    }

    #[test]
    fn after_a_rest_more_is_tried_again() {
        let mut finder = Finder::new(AT_FIRST, 32);
        let limits: Vec<_> = (0..=REST + 1)
            .map(|_| finder.window(bytes(MIB), true))
            .collect();
        assert_eq!(limits[..3], [6, 4, 4]);
        assert_eq!(limits.last(), Some(&6));
    }

    #[test]
    fn trouble_takes_a_third_and_never_the_last_one() {
        let mut finder = Finder::new(AT_FIRST, 32);
        finder.limit = 32;
        let limits: Vec<_> = (0..12).map(|_| finder.trouble(32)).collect();
        assert_eq!(limits[..4], [22, 15, 10, 7]);
        assert_eq!(limits.last(), Some(&1));
    }

    #[test]
    fn trouble_takes_a_third_of_those_that_run() {
        let mut finder = Finder::new(12, 32);
        assert_eq!(finder.trouble(8), 5);
        let mut finder = Finder::new(AT_FIRST, 32);
        assert_eq!(finder.trouble(1), 2, "one alone tells little of others");
    }

    #[test]
    fn a_number_that_is_worth_a_try_is_begun_with_and_gone_on_from() {
        let mut finder = Finder::new(AT_FIRST, 32);
        assert_eq!(finder.at_least(8), 8);
        assert_eq!(finder.at_least(6), 8, "more already");
        assert_eq!(finder.window(bytes(8.0 * MIB), true), 10);
        assert_eq!(
            finder.window(bytes(8.1 * MIB), true),
            8,
            "it brought nothing"
        );
        assert_eq!(finder.at_least(100), 32);
    }

    #[test]
    fn places_that_nobody_takes_are_no_reason_for_more() {
        let mut finder = Finder::new(AT_FIRST, 32);
        for rate in 1..10 {
            assert_eq!(finder.window(bytes(f64::from(rate) * MIB), false), AT_FIRST);
        }
    }
}
