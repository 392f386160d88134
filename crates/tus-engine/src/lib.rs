//! tus-engine
