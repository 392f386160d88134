//! Uploads files with the real `tus-uploader`, several at a time through one client.
//!
//!     tus-uploader-peer URL AT_ONCE FILE...
//!
//! AT_ONCE of `parts:N` uploads each file in N parts instead, one file after the other.

use std::collections::HashMap;
use std::error::Error;
use std::sync::{Arc, Mutex};

use tokio::task::JoinSet;
use tus_uploader::{Client, FileSource, ParallelUpload};
use url::Url;

type Failure = Box<dyn Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let (Some(url), Some(at_once)) = (arguments.next(), arguments.next()) else {
        return Err("usage: tus-uploader-peer URL AT_ONCE|parts:N FILE...".into());
    };
    let client = Client::new(Url::parse(&url)?);
    let files: Vec<String> = arguments.collect();
    if let Some(parts) = at_once.strip_prefix("parts:") {
        let parts: usize = parts.parse()?;
        for file in files {
            let length = usize::try_from(std::fs::metadata(&file)?.len())?;
            let options = ParallelUpload::new(length.div_ceil(parts)).with_max_concurrency(parts);
            let source = FileSource::open(file.clone()).await?;
            client
                .upload_parallel(source, &named(&file), options)
                .await?;
        }
        return Ok(());
    }
    let waiting = Arc::new(Mutex::new(files.into_iter()));
    let mut workers = JoinSet::new();
    for _ in 0..at_once.parse()? {
        let (client, waiting) = (client.clone(), Arc::clone(&waiting));
        workers.spawn(async move {
            loop {
                let next = waiting.lock().map_err(|_| "a worker panicked")?.next();
                let Some(file) = next else {
                    return Ok::<_, Failure>(());
                };
                let source = FileSource::open(file.clone()).await?;
                client.upload_from(source, &named(&file)).await?;
            }
        });
    }
    while let Some(ended) = workers.join_next().await {
        ended??;
    }
    Ok(())
}

fn named(file: &str) -> HashMap<String, String> {
    let name = file.rsplit('/').next().unwrap_or(file);
    HashMap::from([("filename".to_owned(), name.to_owned())])
}
