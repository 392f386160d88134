//! The emulator over real sockets, spoken to by hand: nothing here shares code with a tus client.

mod api;
mod edit;
mod faults;
mod files;
mod limits;
mod listing;
mod restart;
mod stream;
mod vectors;
mod wire;
