//! How many files may be open at once: uploads are held to what fits, for one too many fails them all.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tus_engine::UploaderOptions;

/// Descriptors beside those of uploads: the outputs, the runtime, the store and its database.
const RESERVED: u64 = 32;
/// What one connection of an upload needs: the source, its digests, two locks, the socket; with the server in this process also
/// the other end, and the file behind it.
const EACH: u64 = 8;

/// Fits the uploads at once, of `count` in all, into the limit of open files, which is raised as far as this process may. Says
/// the limit if it allows fewer than were asked for.
pub(crate) fn fit(options: UploaderOptions, count: usize) -> (UploaderOptions, Option<u64>) {
    let wanted = options.parallel.min(count) * options.parts;
    let needed = RESERVED + EACH * wanted as u64;
    let Some(limit) = limit(needed).filter(|limit| *limit < needed) else {
        return (options, None);
    };
    let room = usize::try_from(limit.saturating_sub(RESERVED) / EACH).unwrap_or(usize::MAX);
    let parts = options.parts.min(room.max(1));
    let parallel = options.parallel.min((room / parts).max(1));
    let options = options.with_parallel(parallel).with_parts(parts);
    (options, Some(limit))
}

/// How many files this process may have open, after it asked for as many as are needed; `None`: any number.
fn limit(needed: u64) -> Option<u64> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let soft = current.filter(|soft| *soft < needed)?;
    let raised = maximum.map_or(needed, |hard| hard.min(needed));
    let asked = Rlimit {
        current: Some(raised),
        maximum,
    };
    Some(setrlimit(Resource::Nofile, asked).map_or(soft, |()| raised))
}
