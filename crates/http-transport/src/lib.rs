//! http-transport
