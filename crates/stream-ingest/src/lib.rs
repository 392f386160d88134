//! stream-ingest
