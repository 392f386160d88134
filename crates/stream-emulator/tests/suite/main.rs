//! The emulator over real sockets, spoken to by hand: nothing here shares code with a tus client.

mod account;
mod api;
mod edit;
mod faults;
mod faulty_answers;
mod files;
mod hypotheses;
mod limits;
mod listing;
mod one_time;
mod own;
mod restart;
mod stream;
mod vectors;
mod wire;
