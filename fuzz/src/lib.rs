//! What comes from outside, thrown at whoever reads it.
//!
//! A target is a function of any bytes. It panics when what must hold does not: reading never panics, what is read
//! can be written and read again, and what is accepted keeps the rules. `fuzz/libfuzzer` calls these with bytes that
//! coverage chooses; `tests/corpus.rs` calls them with the corpora, on every compiler and with every test run.

mod answers;
mod checksum;
mod command_line;
mod concat;
mod decide;
mod emulator;
mod fault_plan;
mod headers;
mod heads;
mod location;
mod media;
mod metadata;
mod operations;
mod store;
mod stream_json;

/// A target: it takes any bytes, and panics when what must hold does not.
pub type Target = fn(&[u8]);

/// All targets, by name.
pub const TARGETS: [(&str, Target); 14] = [
    ("answers", answers::run),
    ("checksum", checksum::run),
    ("command_line", command_line::run),
    ("concat", concat::run),
    ("decide", decide::run),
    ("emulator", emulator::run),
    ("fault_plan", fault_plan::run),
    ("headers", headers::run),
    ("location", location::run),
    ("media", media::run),
    ("metadata", metadata::run),
    ("operations", operations::run),
    ("store", store::run),
    ("stream_json", stream_json::run),
];

/// Runs the target with this name.
///
/// # Panics
/// When there is none, and when it finds something.
pub fn run(name: &str, bytes: &[u8]) {
    let (_, target) = TARGETS
        .iter()
        .find(|(known, _)| *known == name)
        .expect("a target of this name");
    target(bytes);
}

/// As much of the bytes as is text.
fn text(bytes: &[u8]) -> &str {
    match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => std::str::from_utf8(&bytes[..error.valid_up_to()]).unwrap_or_default(),
    }
}
