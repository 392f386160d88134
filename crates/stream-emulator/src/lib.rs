//! stream-emulator
