//! resume-store
