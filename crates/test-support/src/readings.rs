//! What measuring programs print, as numbers: `strace -c`, valgrind and iperf3.

/// All system calls of a table that `strace -c` has written: the line `total`.
///
/// ```
/// let table = "100.00    0.020113           3      5310        12 total\n";
/// assert_eq!(test_support::readings::strace_total(table), Some(5310));
/// ```
#[must_use]
pub fn strace_total(table: &str) -> Option<u64> {
    let total = table.lines().rev().find(|line| line.ends_with(" total"))?;
    // % time, seconds, usecs/call, calls, and errors, which is left out when there are none.
    total.split_whitespace().nth(3)?.parse().ok()
}

/// The calls of each kind in a table of `strace -c`, most frequent first.
#[must_use]
pub fn strace_calls(table: &str) -> Vec<(String, u64)> {
    let mut calls: Vec<(String, u64)> = table
        .lines()
        .filter_map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let name = *fields.last()?;
            let share = fields.first()?.parse::<f64>();
            (share.is_ok() && name != "total")
                .then(|| Some((name.to_owned(), fields.get(3)?.parse().ok()?)))?
        })
        .collect();
    calls.sort_by(|(_, some), (_, other)| other.cmp(some));
    calls
}

/// The instructions that `valgrind --tool=callgrind` or `--tool=none` … `lackey` has counted:
/// the line `Collected`.
#[must_use]
pub fn callgrind_instructions(said: &str) -> Option<u64> {
    after(said, "Collected :")?.parse().ok()
}

/// The allocations that valgrind's memcheck has counted: the line `total heap usage`.
#[must_use]
pub fn valgrind_allocations(said: &str) -> Option<u64> {
    after(said, "total heap usage:")?
        .replace(',', "")
        .parse()
        .ok()
}

/// The first word behind `label`, wherever a line has it.
fn after<'a>(said: &'a str, label: &str) -> Option<&'a str> {
    let (_, rest) = said.lines().find_map(|line| line.split_once(label))?;
    rest.split_whitespace().next()
}

/// Bits per second that arrived, of all streams together, in the answer of `iperf3 --json`.
#[must_use]
pub fn iperf3_received(json: &str) -> Option<f64> {
    let said: serde_json::Value = serde_json::from_str(json).ok()?;
    said.pointer("/end/sum_received/bits_per_second")?.as_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "\
% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ----------------
 61.01    0.011502           5      2081           writev
 30.99    0.005842           2      2050         4 preadv2
  0.00    0.000000           0         1           execve
------ ----------- ----------- --------- --------- ----------------
100.00    0.018852           4      4132         4 total
";

    #[test]
    fn a_table_of_strace_is_read_with_and_without_errors() {
        assert_eq!(strace_total(TABLE), Some(4132));
        let without = "100.00    0.018852           4      4132           total";
        assert_eq!(strace_total(without), Some(4132));
        assert_eq!(strace_total("strace: cannot attach"), None);
    }

    #[test]
    fn the_calls_of_each_kind_are_named_most_frequent_first() {
        let named = |name: &str, calls| (name.to_owned(), calls);
        let wanted = [
            named("writev", 2081),
            named("preadv2", 2050),
            named("execve", 1),
        ];
        assert_eq!(strace_calls(TABLE), wanted);
    }

    #[test]
    fn instructions_and_allocations_of_valgrind_are_found_among_its_words() {
        let said = "==7== Events    : Ir\n==7== Collected : 123456789\n==7==\n";
        assert_eq!(callgrind_instructions(said), Some(123_456_789));
        let said = "==9==   total heap usage: 1,234,567 allocs, 8 frees, 9 bytes allocated\n";
        assert_eq!(valgrind_allocations(said), Some(1_234_567));
        assert_eq!(valgrind_allocations("==9== Killed"), None);
    }

    #[test]
    fn what_arrived_is_what_iperf3_counts() {
        let json = r#"{"start":{},"end":{"sum_sent":{"bits_per_second":9.0},
            "sum_received":{"bits_per_second":376000000.5}}}"#;
        assert_eq!(iperf3_received(json), Some(376_000_000.5));
        assert_eq!(iperf3_received("iperf3: error - unable to connect"), None);
    }
}
