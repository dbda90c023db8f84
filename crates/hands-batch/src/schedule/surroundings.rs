//! What every job is started with: its environment and setting, and where programs are found.

use std::ffi::CString;
use std::os::fd::OwnedFd;

use hands::command::engine::{
    COOKIE, Conditions, Environment, Resolver, RunMark, Setting, open_null,
};

use crate::error::BatchError;
use crate::work::JobPlace;

/// Variables that each job gets, beside the cookie.
const NUMBER: &str = "HANDS_SEQ";
const SLOT: &str = "HANDS_SLOT";

pub(super) struct Surroundings {
    pub(super) run: RunMark,
    pub(super) environment: Environment,
    pub(super) resolver: Resolver,
    pub(super) setting: Setting,
    /// For those that have no stdin.
    pub(super) null: OwnedFd,
}

impl Surroundings {
    pub(super) fn new(conditions: &Conditions) -> Result<Surroundings, BatchError> {
        let environment = Environment::new(&conditions.environment, &[COOKIE, NUMBER, SLOT]);
        let resolver = Resolver::new(environment.get("PATH"), conditions.directory.as_deref());
        Ok(Surroundings {
            run: RunMark::new(),
            environment,
            resolver,
            setting: conditions.setting(b"the jobs")?,
            null: open_null()?,
        })
    }

    /// The entries of its environment that only this job has; the first is the one by which it is
    /// found again.
    pub(super) fn entries(&self, place: JobPlace) -> [CString; 3] {
        let text = |name: &str, value: u64| {
            CString::new(format!("{name}={value}")).expect("names and digits have no NUL byte")
        };
        [
            self.run.job(place.number),
            text(NUMBER, place.number),
            text(SLOT, place.slot as u64),
        ]
    }
}
