//! [`Paint`]: a watermark over the pictures of a video.
//!
//! The documentation says how a profile is meant, and not how it is computed. Here:
//!
//! | field | what |
//! |---|---|
//! | `scale` | the picture fits into that part of the video's width and height, its shape kept; 0: as large as it is |
//! | `padding` | that part of the video's width beside it, and of its height above or below; it is never pushed out |
//! | `position` | the corner, or `center`, where padding counts for nothing |
//! | `opacity` | times the picture's own |

use bytes::Bytes;
use stream_api::op::watermarks::{Position, Watermark};

use crate::entry::Entry;
use crate::server::Shared;

/// What is painted.
#[derive(Debug)]
pub(super) struct Paint {
    pub(super) picture: Bytes,
    /// The name of ffmpeg's reader for it.
    pub(super) reader: &'static str,
    /// From the first two inputs on; its output has no name yet.
    pub(super) filter: String,
}

impl Paint {
    /// The watermark of a video; `None` where it has none, or its picture or its own size is not known.
    pub(super) fn of(shared: &Shared, entry: &Entry) -> Option<Self> {
        let mark = entry.video.watermark.as_ref()?;
        let picture = shared.account.pictures.get(&entry.account, &mark.uid)?.0;
        let reader = match imagesize::image_type(&picture).ok()? {
            imagesize::ImageType::Bmp => "bmp_pipe",
            imagesize::ImageType::Gif => "gif",
            imagesize::ImageType::Jpeg => "jpeg_pipe",
            imagesize::ImageType::Png => "png_pipe",
            imagesize::ImageType::Webp => "webp_pipe",
            _ => return None,
        };
        let input = entry.video.input.as_ref()?;
        let place = Place::of(mark, input.width?, input.height?)?;
        let Place {
            x,
            y,
            width,
            height,
        } = place;
        let opacity = mark.opacity.unwrap_or(1.0);
        let filter = format!(
            "[1:v]scale={width}:{height},format=rgba,colorchannelmixer=aa={opacity}[mark];\
             [0:v][mark]overlay={x}:{y}"
        );
        Some(Self {
            picture,
            reader,
            filter,
        })
    }
}

/// Where the picture lies, in pixels of the video. What does not fit begins outside.
#[derive(Debug, PartialEq, Eq)]
struct Place {
    x: i64,
    y: i64,
    width: i64,
    height: i64,
}

impl Place {
    fn of(mark: &Watermark, video_width: f64, video_height: f64) -> Option<Self> {
        let (width, height) = (mark.width?, mark.height?);
        if [width, height, video_width, video_height]
            .iter()
            .any(|side| *side < 1.0)
        {
            return None;
        }
        let scale = mark.scale.unwrap_or(0.15);
        let factor = if scale == 0.0 {
            1.0
        } else {
            (scale * video_width / width).min(scale * video_height / height)
        };
        let (width, height) = ((width * factor).max(1.0), (height * factor).max(1.0));
        let padding = mark.padding.unwrap_or(0.05);
        let position = mark.position.clone().unwrap_or(Position::UpperRight);
        let (right, lower) = match position {
            Position::UpperLeft => (false, false),
            Position::LowerLeft => (false, true),
            Position::LowerRight => (true, true),
            _ => (true, false),
        };
        let at = |whole: f64, own: f64, far: bool| {
            let left = whole - own;
            let padding = padding * whole;
            let near = if position == Position::Center {
                left / 2.0
            } else if far {
                left - padding
            } else {
                padding
            };
            near.clamp(left.min(0.0), left.max(0.0))
        };
        let (x, y) = (
            at(video_width, width, right),
            at(video_height, height, lower),
        );
        #[expect(clippy::cast_possible_truncation, reason = "pixels")]
        let [x, y, width, height] = [x, y, width, height].map(|it| it.round() as i64);
        Some(Self {
            x,
            y,
            width,
            height,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A picture of 200 by 100.
    fn placed(scale: f64, padding: f64, position: Position, video: (f64, f64)) -> [i64; 4] {
        let mut mark = Watermark::default();
        (mark.width, mark.height) = (Some(200.0), Some(100.0));
        (mark.scale, mark.padding) = (Some(scale), Some(padding));
        mark.position = Some(position);
        let place = Place::of(&mark, video.0, video.1).unwrap();
        [place.x, place.y, place.width, place.height]
    }

    #[test]
    fn a_picture_fits_into_its_part_of_the_video_in_its_corner() {
        let wide = (400.0, 200.0);
        for (position, x, y) in [
            (Position::UpperLeft, 40, 20),
            (Position::UpperRight, 260, 20),
            (Position::LowerLeft, 40, 130),
            (Position::LowerRight, 260, 130),
            (Position::Center, 150, 75),
        ] {
            assert_eq!(placed(0.25, 0.1, position, wide), [x, y, 100, 50]);
        }
        assert_eq!(placed(1.0, 0.0, Position::Center, wide), [0, 0, 400, 200]);
        // Upright: the width is what is short.
        let upright = (200.0, 400.0);
        assert_eq!(
            placed(0.5, 0.0, Position::UpperLeft, upright),
            [0, 0, 100, 50]
        );
    }

    #[test]
    fn without_a_scale_it_is_as_large_as_it_is_and_no_padding_pushes_it_out() {
        let video = (400.0, 200.0);
        assert_eq!(
            placed(0.0, 0.0, Position::LowerRight, video),
            [200, 100, 200, 100]
        );
        assert_eq!(
            placed(0.0, 1.0, Position::LowerRight, video),
            [0, 0, 200, 100]
        );
        assert_eq!(
            placed(0.0, 1.0, Position::UpperLeft, video),
            [200, 100, 200, 100]
        );
        assert_eq!(
            placed(0.0, 0.0, Position::Center, (100.0, 50.0)),
            [-50, -25, 200, 100]
        );
    }

    #[test]
    fn a_video_of_unknown_size_is_not_painted() {
        let mut mark = Watermark::default();
        (mark.width, mark.height) = (Some(200.0), Some(100.0));
        assert_eq!(Place::of(&mark, -1.0, -1.0), None);
    }
}
