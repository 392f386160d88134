//! tus-core
