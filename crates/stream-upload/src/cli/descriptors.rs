//! How many files may be open at once: uploads are held to what fits, for one too many fails them all.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tus_engine::{Parallel, Parts, UploaderOptions};

/// Descriptors beside those of uploads: the outputs, the runtime, the store and its database.
const RESERVED: u64 = 32;
/// What one connection of an upload needs: the source, its digests, two locks, the socket; with the server in this process also
/// the other end, and the file behind it.
const EACH: u64 = 8;

/// Connections of one upload where it is found how many pay, at most.
const OF_ONE: usize = 8;

/// Fits the uploads at once, of `count` in all, into the limit of open files, which is raised as far as this process may. Says
/// the limit if it allows fewer than were asked for by number.
pub(crate) fn fit(options: UploaderOptions, count: usize) -> (UploaderOptions, Option<u64>) {
    let uploads = match options.parallel {
        Parallel::Fixed(parallel) => parallel,
        _ => options.most_parallel,
    };
    let parts = match options.parts {
        Parts::Fixed(parts) => parts,
        _ => 1,
    };
    let files = uploads.min(count);
    // Where one of the two numbers is found, uploads and parts share the connections.
    let connections = match (options.parallel, options.parts) {
        (Parallel::Fixed(_), Parts::Fixed(parts)) => files * parts,
        (_, Parts::Fixed(parts)) => (files * parts).min(uploads.max(parts)),
        _ => (files * OF_ONE).min(uploads.max(OF_ONE)),
    };
    let needed = RESERVED + EACH * connections as u64;
    let Some(limit) = limit(needed).filter(|limit| *limit < needed) else {
        return (options, None);
    };
    let room = usize::try_from(limit.saturating_sub(RESERVED) / EACH).unwrap_or(usize::MAX);
    let fewer_parts = parts.min(room.max(1));
    let fewer = uploads.min((room / fewer_parts).max(1));
    let mut fitted = options.clone().with_most_parallel(fewer);
    if let Parallel::Fixed(_) = options.parallel {
        fitted = fitted.with_parallel(fewer);
    }
    // One connection for each is what there is room for.
    fitted = fitted.with_parts(fewer_parts);
    let named = matches!(options.parallel, Parallel::Fixed(_));
    let told = (named && fewer < uploads) || fewer_parts < parts;
    (fitted, told.then_some(limit))
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
