//! Medians and their uncertainty.

use test_support::Random;

/// How often the sample is drawn anew. More would not move the third digit.
const RESAMPLES: usize = 10_000;

/// The middle of a sample, or the mean of the two middle values.
///
/// # Panics
/// When the sample is empty.
pub(crate) fn median(sample: &[f64]) -> f64 {
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
pub(crate) fn confidence(sample: &[f64]) -> (f64, f64) {
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
