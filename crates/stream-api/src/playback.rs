//! [`PlaybackUrls`]: where a video is played, by its id or by a token.
//!
//! <https://developers.cloudflare.com/stream/viewing-videos/>

use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::bounds::DOWNLOAD_NAME_CHARACTERS;
use crate::op::downloads::DownloadType;
use crate::op::edit::OutOfBounds;
use crate::op::videos::Video;
use crate::secret::{Secret, SourceUrl};

/// The addresses below which an account's videos are played, such as
/// `https://customer-abc.cloudflarestream.com`. What is asked with a token is a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlaybackUrls {
    base: String,
}

/// Which picture of a video, and of what size. What is `None` is left at Stream's default.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
#[non_exhaustive]
pub struct Thumbnail {
    /// Where in the video. Default: where the video's settings say.
    pub at: Option<Duration>,
    /// Pixels. Default 640.
    pub height: Option<u32>,
    /// Pixels.
    pub width: Option<u32>,
    /// An animation of so long instead of a picture.
    pub animated: Option<Duration>,
}

impl PlaybackUrls {
    /// The addresses below `base`.
    ///
    /// # Errors
    /// [`OutOfBounds`] when it is no `http` or `https` URL.
    pub fn new(base: &str) -> Result<Self, OutOfBounds> {
        let base = base.trim_end_matches('/');
        SourceUrl::parse(base)?;
        Ok(Self {
            base: base.to_owned(),
        })
    }

    /// The addresses of the account that this video belongs to, if the video says where it is played.
    #[must_use]
    pub fn of(video: &Video) -> Option<Self> {
        let hls = &video.playback.as_ref()?.hls;
        let at = hls.find(&format!("/{}/", video.uid))?;
        Self::new(&hls[..at]).ok()
    }

    /// The manifest for HLS.
    #[must_use]
    pub fn hls(&self, video_or_token: &str) -> Secret {
        self.of_video(video_or_token, "manifest/video.m3u8")
    }

    /// The manifest for MPEG-DASH.
    #[must_use]
    pub fn dash(&self, video_or_token: &str) -> Secret {
        self.of_video(video_or_token, "manifest/video.mpd")
    }

    /// A page that plays it.
    #[must_use]
    pub fn watch(&self, video_or_token: &str) -> Secret {
        self.of_video(video_or_token, "watch")
    }

    /// What a page embeds to play it.
    #[must_use]
    pub fn iframe(&self, video_or_token: &str) -> Secret {
        self.of_video(video_or_token, "iframe")
    }

    /// A picture of it.
    #[must_use]
    pub fn thumbnail(&self, video_or_token: &str, which: &Thumbnail) -> Secret {
        let seconds = |time: Duration| format!("{}s", time.as_secs_f64());
        let wishes = [
            ("time", which.at.map(seconds)),
            ("height", which.height.map(|it| it.to_string())),
            ("width", which.width.map(|it| it.to_string())),
            ("duration", which.animated.map(seconds)),
        ];
        let mut rest = String::from(match which.animated {
            Some(_) => "thumbnails/thumbnail.gif",
            None => "thumbnails/thumbnail.jpg",
        });
        let mut separator = '?';
        for (name, value) in wishes {
            if let Some(value) = value {
                rest.push(separator);
                rest.push_str(&format!("{name}={value}"));
                separator = '&';
            }
        }
        self.of_video(video_or_token, &rest)
    }

    /// A download. It must have been made, and of a video that wants tokens the token must allow it.
    /// `name` is what it is saved as, without its ending.
    ///
    /// # Errors
    /// [`OutOfBounds`] when the name is longer than 120, or has other characters than
    /// `A-Z a-z 0-9 - _`.
    pub fn download(
        &self,
        video_or_token: &str,
        kind: DownloadType,
        name: Option<&str>,
    ) -> Result<Secret, OutOfBounds> {
        let mut rest = String::from(match kind {
            DownloadType::Default => "downloads/default.mp4",
            DownloadType::Audio => "downloads/audio.m4a",
        });
        if let Some(name) = name {
            let is_fine = |it: u8| it.is_ascii_alphanumeric() || b"-_".contains(&it);
            if name.len() > DOWNLOAD_NAME_CHARACTERS || !name.bytes().all(is_fine) {
                return Err(OutOfBounds(
                    "the name of a download must have at most 120 characters of A-Z a-z 0-9 - _",
                ));
            }
            rest.push_str(&format!("?filename={name}"));
        }
        Ok(self.of_video(video_or_token, &rest))
    }

    fn of_video(&self, video_or_token: &str, rest: &str) -> Secret {
        // What tokens and ids are made of stays as it is.
        const KEPT: &percent_encoding::AsciiSet =
            &NON_ALPHANUMERIC.remove(b'.').remove(b'-').remove(b'_');
        let name = utf8_percent_encode(video_or_token, KEPT);
        Secret::new(format!("{}/{name}/{rest}", self.base))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_built_as_the_documentation_has_them() {
        let video: Video = serde_json::from_str(
            r#"{"uid":"abc","playback":{"hls":"https://customer-x.cloudflarestream.com/abc/manifest/video.m3u8"}}"#,
        )
        .unwrap();
        let urls = PlaybackUrls::of(&video).unwrap();
        let base = "https://customer-x.cloudflarestream.com";
        assert_eq!(urls, PlaybackUrls::new(base).unwrap());
        assert_eq!(
            urls.hls("abc").expose(),
            format!("{base}/abc/manifest/video.m3u8")
        );
        assert_eq!(
            urls.dash("a.b-c_d").expose(),
            format!("{base}/a.b-c_d/manifest/video.mpd")
        );
        assert_eq!(urls.watch("../x").expose(), format!("{base}/..%2Fx/watch"));
        let which = Thumbnail {
            at: Some(Duration::from_secs(70)),
            height: Some(270),
            ..Thumbnail::default()
        };
        assert_eq!(
            urls.thumbnail("abc", &which).expose(),
            format!("{base}/abc/thumbnails/thumbnail.jpg?time=70s&height=270")
        );
        let named = urls
            .download("abc", DownloadType::Audio, Some("My_Talk-1"))
            .unwrap();
        assert_eq!(
            named.expose(),
            format!("{base}/abc/downloads/audio.m4a?filename=My_Talk-1")
        );
        urls.download("abc", DownloadType::Default, Some("a&b"))
            .unwrap_err();
    }
}
