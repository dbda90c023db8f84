//! `hands fetch`: the words and the exit code around the downloads of `hands-fetch`.

mod book;
mod progress;
mod report;
mod web;

pub(crate) use self::progress::bytes;
pub(crate) use self::report::Downloads;

use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;

use hands::event::Trace;
use hands_fetch::Fetch;

use self::report::FetchReport;
use self::web::FetchPage;
use crate::flags::FetchFlags;
use crate::machines::AccessPlan;
use crate::machines::fetch::ClusterFetch;
use crate::plan::fetch_plan;
use crate::ui::usage;

/// Fetches all, and gives the code to exit with.
pub(crate) fn main(flags: FetchFlags) -> ExitCode {
    match run(flags) {
        Ok(code) => ExitCode::from(code),
        Err(message) => usage::fail(&message),
    }
}

fn run(mut flags: FetchFlags) -> Result<u8, String> {
    let plan = fetch_plan(&mut flags).map_err(|error| error.to_string())?;
    let mut report = FetchReport::new(&flags.shown, &plan)?;
    if let Some(url) = flags.machines.cluster.take() {
        let access = AccessPlan {
            url,
            pool: flags.machines.pool.take(),
            token_file: flags.machines.token_file.take(),
            ..AccessPlan::default()
        };
        let fetch = ClusterFetch::start(
            &access,
            flags.machines.label.as_deref(),
            plan,
            flags.machines.fetch,
        )?;
        return Ok(report.run(&fetch));
    }
    let fetch = Arc::new(Fetch::start(plan.clone()).map_err(|error| error.to_string())?);
    let page = flags
        .watch
        .web
        .map(|address| FetchPage::open(address, &plan, &fetch));
    report.web = page.transpose()?;
    for warning in fetch.warnings() {
        // A closed stderr leaves nobody to tell.
        let _ = writeln!(std::io::stderr(), "hands: warning: {warning}");
    }
    let trace = flags.shown.trace.as_deref().map(|path| {
        let wrong = |error| format!("`--trace {}`: {error}", path.display());
        let trace = Trace::to_file(&fetch.work_events(), path).map_err(wrong)?;
        Ok::<_, String>((trace, path))
    });
    let trace = trace.transpose()?;
    let code = report.run(&*fetch);
    if let Some((trace, path)) = trace {
        let finished = trace.finish();
        finished.map_err(|error| format!("`--trace {}`: {error}", path.display()))?;
    }
    Ok(code)
}
