//! The emulator over real sockets, spoken to by hand: nothing here shares code with a tus client.

mod account;
mod api;
mod audio_tracks;
mod captions;
mod edit;
mod faults;
mod faulty_answers;
mod files;
mod hypotheses;
mod keys;
mod limits;
mod listing;
mod live_inputs;
mod one_time;
mod own;
mod restart;
mod stream;
mod vectors;
mod watermarks;
mod webhook;
mod wire;
mod world;
