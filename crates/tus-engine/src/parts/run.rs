//! [`run_parts`]: which part goes when, and over how many connections at once.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::error::UploadError;
use crate::measured::Measured;
use crate::pace::{Lanes, Pace};

use super::together::Together;
use super::{Division, Part};

/// So many parts are created at once while others are sent.
const CREATED_AT_ONCE: usize = 2;

/// Runs the parts, as many at once as the division says and there are connections for. Hands over those that have finished, also
/// where others have not.
pub(super) async fn run_parts<F>(
    division: Division,
    sink: &Together,
    measured: &Measured,
    lanes: &Arc<Lanes>,
    pace: &Pace,
    part: impl Fn(u64, bool) -> F,
) -> (Vec<Part>, Result<(), UploadError>)
where
    F: Future<Output = Result<Part, UploadError>> + Send + 'static,
{
    let mut running = JoinSet::new();
    let (mut sent, mut ended, mut next) = (Vec::new(), Ok(()), 0);
    let mut is_measuring = division.measure_for.is_some();
    let measuring = measure(sink, division.measure_for.unwrap_or_default());
    tokio::pin!(measuring);
    loop {
        let freed = lanes.more();
        tokio::pin!(freed);
        freed.as_mut().enable();
        while ended.is_ok() && next < division.parts {
            let possible = lanes.possible();
            // Once one has ended, one for each connection is created before that is free: then it goes on at once, and does
            // not slow down.
            let ahead = !sent.is_empty()
                && running.len() < 2 * possible
                && running.len() - lanes.ready().min(running.len()) < CREATED_AT_ONCE;
            if running.len() >= possible && !ahead {
                break;
            }
            running.spawn(part(next, !sent.is_empty()));
            next += 1;
        }
        let part = tokio::select! {
            Some(part) = running.join_next() => part,
            () = freed, if ended.is_ok() && next < division.parts && !running.is_empty() => continue,
            rate = &mut measuring, if is_measuring && !running.is_empty() => {
                is_measuring = false;
                measured.one_brought(rate);
                if !measured.one_is_enough() {
                    pace.make_room(division.connections);
                    lanes.set_most(division.connections);
                }
                continue;
            }
            else => return (sent, ended),
        };
        match part.unwrap_or(Err(UploadError::TaskEnded)) {
            Ok(part) => sent.push(part),
            // Terminated parts go one by one; any other end of one stops the rest, resumably.
            Err(error) => {
                if !matches!(error, UploadError::Terminated) {
                    running.abort_all();
                }
                if ended.is_ok() {
                    ended = Err(error);
                }
            }
        }
    }
}

/// Bytes per second in the second half of so long a time: in the first one a connection gathers speed.
async fn measure(sink: &Together, time: Duration) -> f64 {
    sleep(time / 2).await;
    let before = sink.sent();
    sleep(time / 2).await;
    (sink.sent() - before) as f64 / (time / 2).as_secs_f64()
}
