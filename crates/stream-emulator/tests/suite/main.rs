//! The emulator over real sockets, spoken to by hand: nothing here shares code with a tus client.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on says so by failing"
)]

mod account;
mod api;
mod audio_tracks;
mod broadcasts;
mod captions;
mod clips;
mod copies;
mod deletion;
mod described;
mod downloads;
mod edit;
mod faults;
mod faulty_answers;
mod ffmpeg;
mod files;
mod forms;
mod hypotheses;
mod keeping;
mod keys;
mod limits;
mod listing;
mod live_inputs;
mod media;
mod one_time;
mod own;
mod page;
mod paint;
mod permits;
mod playback;
mod quirks;
mod restart;
mod rows;
mod stream;
mod table;
mod vectors;
mod watermarks;
mod webhook;
mod wire;
mod world;
