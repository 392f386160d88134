//! `GET …/stream/{uid}/embed`: the HTML that embeds a video.

use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderValue};
use stream_api::Op;

use crate::answer;
use crate::op::{Answered, Call};

/// Answers the operation of this group.
pub(crate) async fn answer(call: Call<'_>) -> Answered {
    match call.op {
        Op::EmbedGet => get(&call),
        _ => super::unknown(),
    }
}

/// A frame with this server's own player page: nothing of it comes from another host.
fn get(call: &Call<'_>) -> Answered {
    let (uid, base) = (call.video()?.video.uid, call.base);
    let html = format!(
        "<iframe src=\"{base}/{uid}/iframe\" style=\"border: none\" height=\"720\" width=\"1280\" \
         allow=\"accelerometer; gyroscope; autoplay; encrypted-media; picture-in-picture;\" \
         allowfullscreen=\"true\"></iframe>"
    );
    let mut answer = answer::text(StatusCode::OK, html);
    let kind = HeaderValue::from_static("text/html; charset=utf-8");
    answer.headers_mut().insert(CONTENT_TYPE, kind);
    Ok(answer)
}
