//! stream-api
