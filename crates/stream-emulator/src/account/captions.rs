//! [`Caption`]: captions in one language, as they are kept and as they are shown.

use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::builder::Encoding;
use crate::language;

/// Captions of one video in one language.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Caption {
    pub(crate) language: String,
    pub(crate) created: SystemTime,
    /// Whether they were asked to be made of what is spoken, and not uploaded.
    pub(crate) generated: bool,
    /// Whether somebody looked at them since.
    pub(crate) seen: bool,
    /// WebVTT.
    pub(crate) text: String,
}

impl Caption {
    /// Whether they can be shown. Uploaded ones can at once; others take as long as a video.
    pub(crate) fn is_ready(&self, encoding: Encoding, now: SystemTime) -> bool {
        !self.generated
            || match encoding {
                Encoding::After(time) => {
                    let done = self.created.checked_add(time);
                    done.is_some_and(|done| done <= now)
                }
                _ => self.seen,
            }
    }

    pub(crate) fn view(&self, is_ready: bool) -> Value {
        let label = language::label(&self.language);
        json!({
            "language": self.language,
            "label": if self.generated { format!("{label} (auto-generated)") } else { label },
            "generated": self.generated,
            "status": if is_ready { "ready" } else { "inprogress" },
        })
    }
}
