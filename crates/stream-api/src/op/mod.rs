//! The types of each group of operations.

pub mod audio;
pub mod captions;
pub mod clip;
pub mod copy;
pub mod direct_upload;
pub mod downloads;
pub mod edit;
pub mod keys;
pub mod listing;
pub mod live_inputs;
pub mod new_video;
pub mod outputs;
pub mod storage;
pub mod tokens;
pub mod tus_upload;
pub mod videos;
pub mod watermarks;
pub mod webhook;
