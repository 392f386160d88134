//! [`Task`]: one upload on its way from its turn to its report.

use std::sync::Arc;
use std::time::Duration;

use http_transport::BoxFuture;
use resume_store::Record;
use tokio_util::sync::CancellationToken;
use tus_core::UploadConcat;

use crate::control::Wishes;
use crate::drive::{Driver, upload_id};
use crate::error::UploadError;
use crate::event::{Event, EventSink, UploadId};
use crate::keep::Ending;
use crate::new_upload::{NewUpload, Report};
use crate::pace::{Pace, Place};
use crate::parts::Portion;
use crate::resume::{Begin, Outset, Retrospect};
use crate::source::Source;
use crate::uploader::Shared;

/// A source, and what is wanted of it.
pub(crate) struct Task {
    pub(crate) shared: Arc<Shared>,
    pub(crate) id: UploadId,
    pub(crate) source: Arc<dyn Source>,
    pub(crate) new: NewUpload,
    /// Cancelled once the server has all of it.
    pub(crate) landed: CancellationToken,
}

/// What a driver is told beyond the task itself.
pub(crate) struct Setup {
    pub(crate) concat: Option<UploadConcat>,
    pub(crate) sink: Arc<dyn EventSink>,
    pub(crate) place: Place,
    /// It is a part.
    pub(crate) portion: Option<Portion>,
}

/// What comes of a task.
pub(crate) struct Done {
    pub(crate) report: Report,
    pub(crate) record: Record,
    /// What is still to be waited for, unless it was a part.
    ending: Option<Ending>,
}

impl Task {
    /// Does it when its turn comes.
    pub(crate) async fn run(self, wishes: Wishes) -> Result<Report, UploadError> {
        let setup = Setup {
            concat: None,
            sink: Arc::clone(&self.shared.sink),
            place: Place::Aside,
            portion: None,
        };
        let Done { report, ending, .. } = self.run_now(wishes, setup).await?;
        if let Some(ending) = ending {
            ending.wait().await;
        }
        Ok(report)
    }

    /// Does it, and gives the record of it, which may be on its way into the store. Boxed, because a whole runs its parts through here.
    pub(crate) fn run_now(
        self,
        wishes: Wishes,
        mut setup: Setup,
    ) -> BoxFuture<'static, Result<Done, UploadError>> {
        Box::pin(async move {
            let label = self
                .new
                .label
                .clone()
                .unwrap_or_else(|| self.new.source_key.clone());
            let (id, sink) = (self.id, Arc::clone(&setup.sink));
            let on_comparing = |bytes| {
                let label = label.clone();
                sink.event(id, &Event::Comparing { label, bytes });
            };
            let retrospect = Retrospect {
                new: &self.new,
                source: &self.source,
                journal: self.shared.journal.as_ref(),
                pool: &self.shared.permits.buffers,
                on_comparing: &on_comparing,
            };
            let outset = match retrospect.look_back().await? {
                Begin::Finished {
                    record,
                    settings_differ,
                } => {
                    if setup.concat.is_some() {
                        // Progress of the whole counts this part.
                        setup.sink.event(
                            self.id,
                            &Event::Acked {
                                offset: record.offset,
                            },
                        );
                        setup.sink.event(
                            self.id,
                            &Event::Finished {
                                tags: record.tags.clone(),
                            },
                        );
                    }
                    return Ok(Done {
                        report: already_uploaded(&record, settings_differ),
                        record: *record,
                        ending: None,
                    });
                }
                Begin::Upload(outset) => *outset,
            };
            if setup.concat.is_none() {
                // Only now: looking back needs the disk, and not the network.
                setup.place = Place::Own(self.pace().turn().await);
            }
            sink.event(
                id,
                &Event::Started {
                    label,
                    length: self.source.length().known(),
                },
            );
            let result = self.send(outset, wishes, setup).await;
            if result.is_err() {
                sink.event(id, &Event::Failed);
            }
            result
        })
    }

    /// How many connections are at work to where this one goes.
    pub(crate) fn pace(&self) -> Arc<Pace> {
        let url = self.new.entry.url();
        self.shared.permits.paces.of(url.origin())
    }

    async fn send(
        self,
        mut outset: Outset,
        wishes: Wishes,
        setup: Setup,
    ) -> Result<Done, UploadError> {
        if setup.concat.is_none() {
            let division = self.division(&outset).await;
            if let Some(old) = outset.abandoned_parts.take() {
                Box::pin(self.leave_parts(old, division.as_ref(), &mut outset)).await;
            }
            if let Some(division) = division {
                // Boxed, as it is much larger than what most uploads do, and every one would have room for it.
                let sent = Box::pin(self.send_parts(outset, division, wishes, setup.place));
                let (report, record) = sent.await?;
                return Ok(Done {
                    report,
                    record,
                    ending: None,
                });
            }
        }
        let mut driver = Driver::new(&self, outset, setup).await;
        let report = driver.drive(wishes).await?;
        Ok(Done {
            report,
            record: driver.record,
            ending: driver.ending,
        })
    }
}

fn already_uploaded(record: &Record, settings_differ: bool) -> Report {
    Report {
        length: record.length.unwrap_or(record.offset),
        already_uploaded: true,
        settings_differ,
        tags: record.tags.clone(),
        upload_id: upload_id(record),
        content_sha256: None,
        bytes_sent: 0,
        requests: 0,
        elapsed: Duration::ZERO,
    }
}
