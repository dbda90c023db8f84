//! What a worker is asked to run: jobs of a batch.

use super::files;
use super::job::{JobBatch, JobEnd};
use super::runner::run_here;

/// Runs jobs, one after the other, and tells how each ended.
#[hands::task]
pub(crate) async fn run_jobs(batch: JobBatch) -> Vec<JobEnd> {
    if !batch.conditions.apart {
        return run_here(batch, None).await;
    }
    let JobBatch { jobs, .. } = batch.clone();
    let mut ends = Vec::with_capacity(jobs.len());
    for job in jobs {
        let batch = JobBatch {
            jobs: vec![job],
            ..batch.clone()
        };
        ends.push(files::run_apart(batch).await);
    }
    ends
}
