//! What a file says of itself: any bytes. What is told stays within what a video can be.

use std::time::Duration;

pub(crate) fn run(bytes: &[u8]) {
    match media_probe::probe(bytes) {
        Ok(media) => {
            assert_eq!(media.size_bytes, bytes.len() as u64);
            let most = Duration::from_secs(10 * 366 * 86_400);
            assert!(
                media
                    .duration
                    .is_none_or(|it| it > Duration::ZERO && it < most)
            );
            let tracks = media.tracks.unwrap_or_default();
            assert!(tracks.len() <= 64);
            for track in tracks {
                assert!(track.codec.chars().all(|letter| letter.is_ascii_graphic()));
                let fits = |side: u32| (1..=65_535).contains(&side);
                assert!(
                    track
                        .picture
                        .is_none_or(|(width, height)| fits(width) && fits(height))
                );
            }
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}
