//! stream-upload
