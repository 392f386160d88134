//! Medians and their uncertainty, slopes, and quotients of pairs.

use crate::Random;

/// How often the sample is drawn anew. More would not move the third digit.
const RESAMPLES: usize = 10_000;

/// The middle of a sample, or the mean of the two middle values.
///
/// # Panics
/// When the sample is empty.
#[must_use]
pub fn median(sample: &[f64]) -> f64 {
    assert!(!sample.is_empty(), "a median needs a sample");
    let mut sorted = sample.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 {
        sorted[middle]
    } else {
        f64::midpoint(sorted[middle - 1], sorted[middle])
    }
}

/// The 95 % confidence interval of the median: the percentile bootstrap, the same for the same
/// sample in every run.
///
/// A sample of one has no spread to learn from: its interval is itself.
///
/// # Panics
/// When the sample is empty.
#[must_use]
pub fn confidence(sample: &[f64]) -> (f64, f64) {
    let mut random = Random::new(95);
    let mut drawn = vec![0.0; sample.len()];
    let mut medians: Vec<f64> = (0..RESAMPLES)
        .map(|_| {
            for value in &mut drawn {
                *value = sample[pick(&mut random, sample.len())];
            }
            median(&drawn)
        })
        .collect();
    medians.sort_by(f64::total_cmp);
    let tail = RESAMPLES / 40;
    (medians[tail], medians[RESAMPLES - 1 - tail])
}

fn pick(random: &mut Random, length: usize) -> usize {
    usize::try_from(random.below(length as u64)).expect("it is below a usize")
}

/// How much `y` grows per unit of `x`: the median of the slopes between all pairs of points
/// (Theil and Sen), which single outliers do not move. 0 for fewer than two different `x`.
#[must_use]
pub fn slope(points: &[(f64, f64)]) -> f64 {
    let mut slopes = Vec::new();
    for (index, (x1, y1)) in points.iter().enumerate() {
        for (x2, y2) in &points[index + 1..] {
            if x1 != x2 {
                slopes.push((y2 - y1) / (x2 - x1));
            }
        }
    }
    if slopes.is_empty() {
        0.0
    } else {
        median(&slopes)
    }
}

/// `of / by` of each pair: a change of the machine's mood hits both sides of it.
///
/// # Panics
/// When the lengths differ: somebody was not there in every round.
#[must_use]
pub fn paired(of: &[f64], by: &[f64]) -> Vec<f64> {
    assert_eq!(of.len(), by.len(), "a pair has two sides");
    of.iter().zip(by).map(|(of, by)| of / by).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_of_an_unsorted_sample_or_between_two() {
        assert!((median(&[9.0, 1.0, 5.0]) - 5.0).abs() < 1e-12);
        assert!((median(&[4.0, 1.0, 3.0, 2.0]) - 2.5).abs() < 1e-12);
        assert!((median(&[7.0]) - 7.0).abs() < 1e-12);
    }

    #[test]
    fn an_interval_holds_the_median_lies_within_the_sample_and_is_the_same_again() {
        let sample = [1.0, 1.1, 0.9, 1.05, 0.95, 1.2, 0.8, 1.0, 1.02];
        let (low, high) = confidence(&sample);
        assert!(low <= median(&sample) && median(&sample) <= high);
        assert!(low >= 0.8 && high <= 1.2);
        assert!(low < high);
        assert_eq!(confidence(&sample), (low, high));
    }

    #[test]
    fn a_sample_without_spread_has_an_interval_without_width() {
        assert_eq!(confidence(&[2.0; 7]), (2.0, 2.0));
        assert_eq!(confidence(&[3.0]), (3.0, 3.0));
    }

    #[test]
    fn seven_pairs_keep_one_hiccup_out_of_the_interval() {
        let (low, high) = confidence(&[1.0, 1.01, 0.99, 1.0, 1.02, 0.98, 5.0]);
        assert!(high < 5.0, "{low}..{high}");
    }

    #[test]
    fn a_slope_is_found_through_an_outlier() {
        let mut points: Vec<(f64, f64)> =
            (0..20).map(|x| (f64::from(x), f64::from(3 * x))).collect();
        points[4].1 = 1_000.0;
        assert!((slope(&points) - 3.0).abs() < 1e-9);
        assert!(slope(&[(1.0, 5.0)]).abs() < 1e-12);
        assert!(slope(&[(1.0, 5.0), (1.0, 9.0)]).abs() < 1e-12);
    }

    #[test]
    fn ratios_are_formed_within_a_pair() {
        assert_eq!(paired(&[2.0, 9.0], &[1.0, 3.0]), [2.0, 3.0]);
    }
}
