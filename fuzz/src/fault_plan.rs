//! Fault plans of the emulator: JSON, read strictly. An error names a row that is there.

use stream_emulator::FaultPlan;

pub(crate) fn run(bytes: &[u8]) {
    let text = crate::text(bytes);
    match FaultPlan::from_json(text) {
        Ok(plan) => {
            let again = FaultPlan::from_json(text).expect("it was read before");
            assert_eq!(format!("{plan:?}"), format!("{again:?}"));
        }
        Err(error) => {
            assert!(!error.to_string().is_empty());
            assert!(error.row().is_none_or(|row| row >= 1));
        }
    }
}
