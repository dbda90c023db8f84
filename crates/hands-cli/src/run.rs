//! `hands run`: the plan, carried out.

use std::process::ExitCode;

use crate::plan::Plan;
use crate::usage;

/// Runs the batch.
pub(crate) fn main(_plan: Plan) -> ExitCode {
    usage::fail("`run` cannot run anything yet")
}
