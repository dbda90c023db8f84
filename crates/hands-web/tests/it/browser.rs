//! A real browser, of a test's own: headless, with an empty profile, ended with the test.

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Value, json};
use tempfile::TempDir;
use thirtyfour::common::capabilities::chromium::ChromiumLikeCapabilities;
use thirtyfour::prelude::*;
use thirtyfour::{LoggingPrefsLogLevel, WindowHandle};

/// So long something may take to be seen.
const LONG: u64 = 30_000;

/// The driver and all browsers that it has started: they stay in its process group.
struct Driver(Child);

impl Driver {
    /// The port that it chooses may be another's by the time it takes it: then it ends, and another
    /// one is started.
    fn start() -> (Driver, u16) {
        let mut tries = (0..10).filter_map(|_| Driver::try_start());
        tries
            .next()
            .expect("chromedriver: install Debian's chromium-driver")
    }

    fn try_start() -> Option<(Driver, u16)> {
        // If the test itself is killed, its browser ends a little later.
        let mut child = Command::new("timeout")
            .args(["-k", "2", "300", "chromedriver", "--port=0"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .expect("chromedriver: install Debian's chromium-driver");
        let lines = BufReader::new(child.stdout.take().expect("its stdout"));
        let driver = Driver(child);
        let port = lines.lines().map_while(Result::ok).find_map(|line| {
            let port = line.strip_prefix("ChromeDriver was started successfully on port ")?;
            port.trim_end_matches('.').parse().ok()
        });
        Some((driver, port?))
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        let group = Pid::from_child(&self.0);
        let _ = kill_process_group(group, Signal::KILL);
        let _ = self.0.wait();
    }
}

pub(crate) struct Browser {
    runtime: tokio::runtime::Runtime,
    web: WebDriver,
    _driver: Driver,
    _profile: TempDir,
}

impl Browser {
    /// With this page.
    pub(crate) fn open(link: &str) -> Browser {
        let (driver, port) = Driver::start();
        let profile = tempfile::tempdir().expect("a folder");
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let web = runtime.block_on(async {
            let mut wanted = DesiredCapabilities::chrome();
            for arg in [
                "--headless=new",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--window-size=1200,1000",
            ] {
                wanted.add_arg(arg).expect("an argument");
            }
            let folder = format!("--user-data-dir={}", profile.path().display());
            wanted.add_arg(&folder).expect("an argument");
            wanted
                .set_browser_log_level(LoggingPrefsLogLevel::All)
                .expect("a level");
            let web = WebDriver::new(format!("http://127.0.0.1:{port}"), wanted)
                .await
                .expect("a browser: install Debian's chromium");
            web.set_script_timeout(Duration::from_millis(2 * LONG))
                .await
                .expect("a time");
            web
        });
        let browser = Browser {
            runtime,
            web,
            _driver: driver,
            _profile: profile,
        };
        browser.go(link);
        browser
    }

    pub(crate) fn go(&self, link: &str) {
        self.runtime
            .block_on(self.web.goto(link))
            .expect("the page");
    }

    pub(crate) fn js(&self, script: &str) -> Value {
        let ran = self.runtime.block_on(self.web.execute(script, vec![]));
        ran.unwrap_or_else(|error| panic!("{script}: {error}"))
            .json()
            .clone()
    }

    /// Waits until this says so, and gives what it says. It is asked in the page.
    pub(crate) fn until(&self, script: &str) -> Value {
        let asked = format!(
            "const done = arguments[arguments.length - 1], end = Date.now() + {LONG};
             (function look() {{
                 let said = null;
                 try {{ said = (function () {{ {script} }})(); }} catch {{ }}
                 if (said) done(said); else if (Date.now() > end) done(null); else setTimeout(look, 15);
             }})();"
        );
        let said = self.runtime.block_on(self.web.execute_async(asked, vec![]));
        let said = said
            .unwrap_or_else(|error| panic!("{script}: {error}"))
            .json()
            .clone();
        assert!(
            !said.is_null(),
            "{script} was not so; the page:\n{}",
            self.js("return document.body.innerText")
        );
        said
    }

    /// Waits until what this selects has this text in it.
    pub(crate) fn until_text(&self, selector: &str, text: &str) {
        let (selector, text) = (json!(selector), json!(text));
        self.until(&format!(
            "return document.querySelector({selector}).textContent.includes({text})"
        ));
    }

    pub(crate) fn text(&self, selector: &str) -> String {
        let selector = json!(selector);
        let text = self.js(&format!(
            "return document.querySelector({selector}).textContent"
        ));
        text.as_str().unwrap_or_default().to_owned()
    }

    /// As a person does: it must be seen, and nothing may lie over it.
    pub(crate) fn click(&self, selector: &str) {
        self.runtime.block_on(async {
            let found = self.web.find(By::Css(selector)).await;
            let found = found.unwrap_or_else(|error| panic!("{selector}: {error}"));
            found
                .click()
                .await
                .unwrap_or_else(|error| panic!("{selector}: {error}"));
        });
    }

    /// The button of this name in that of these which has this text.
    pub(crate) fn click_in(&self, selector: &str, text: &str, button: &str) {
        let (selector, text, button) = (json!(selector), json!(text), json!(button));
        self.until(&format!(
            "const all = [...document.querySelectorAll({selector})].filter((one) => one.textContent.includes({text}));
             const found = [...(all[0]?.querySelectorAll('button') ?? [])].find((one) => one.textContent === {button});
             found?.click();
             return Boolean(found)"
        ));
    }

    /// Keys, to what this selects.
    pub(crate) fn write(&self, selector: &str, keys: &str) {
        self.runtime.block_on(async {
            let found = self.web.find(By::Css(selector)).await.expect("a place");
            found.send_keys(keys).await.expect("keys");
        });
    }

    /// A command to the browser's inside.
    pub(crate) fn set(&self, command: &str, how: Value) {
        let sent = self.runtime.block_on(self.web.cdp().send_raw(command, how));
        sent.unwrap_or_else(|error| panic!("{command}: {error}"));
    }

    pub(crate) fn dark(&self) {
        let features = json!({"features": [{"name": "prefers-color-scheme", "value": "dark"}]});
        self.set("Emulation.setEmulatedMedia", features);
    }

    /// As wide as a small phone.
    pub(crate) fn narrow(&self) {
        let phone = json!({"width": 360, "height": 740, "deviceScaleFactor": 2, "mobile": true});
        self.set("Emulation.setDeviceMetricsOverride", phone);
        self.until("return innerWidth <= 360");
    }

    pub(crate) fn tab(&self, link: &str) -> WindowHandle {
        self.runtime.block_on(async {
            let tab = self.web.new_tab().await.expect("a tab");
            self.web.switch_to_window(tab.clone()).await.expect("it");
            self.web.goto(link).await.expect("the page");
            tab
        })
    }

    pub(crate) fn this(&self) -> WindowHandle {
        self.runtime.block_on(self.web.window()).expect("a window")
    }

    pub(crate) fn to(&self, tab: &WindowHandle) {
        let switched = self
            .runtime
            .block_on(self.web.switch_to_window(tab.clone()));
        switched.expect("the tab");
    }

    pub(crate) fn close_tab(&self) {
        self.runtime
            .block_on(self.web.close_window())
            .expect("closed");
    }

    /// What the browser has complained of: errors, what the policy has kept from running.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let log = self
            .runtime
            .block_on(self.web.browser_log())
            .expect("its log");
        log.into_iter()
            .map(|entry| format!("{} {}", entry.level, entry.message))
            .collect()
    }

    /// The same, when the program has ended: what a page asks for just then has nobody to answer.
    pub(crate) fn complaints_at_the_end(&self) -> Vec<String> {
        let mut all = self.complaints();
        all.retain(|one| !(one.contains("/list?") && one.contains("ERR_CONNECTION_REFUSED")));
        all
    }

    /// What keeps people from using the page, by axe-core: what is serious, and pale text of which
    /// it is not certain.
    pub(crate) fn obstacles(&self) -> Vec<String> {
        let script = std::fs::read_to_string(axe()).expect("axe-core");
        self.js(&format!("{script}; window.axe = axe; return true"));
        let ran = self.runtime.block_on(self.web.execute_async(
            "const done = arguments[arguments.length - 1];
             axe.run().then((all) => done([
                 ...all.violations.filter((one) => ['serious', 'critical'].includes(one.impact)),
                 ...all.incomplete.filter((one) => one.id === 'color-contrast' && one.nodes.some((node) =>
                     node.any.some((any) => any.data?.messageKey === 'shortTextContent'))),
             ].map((one) => `${one.id}: ${one.nodes.map((node) => node.html + ' ' + node.any.map((any) => any.message)).join('; ')}`)));",
            vec![],
        ));
        let found = ran.expect("axe-core").json().clone();
        let found = found.as_array().cloned().unwrap_or_default();
        found.iter().map(ToString::to_string).collect()
    }

    /// A picture, for those who want to look: in `target/screens`.
    pub(crate) fn picture(&self, name: &str) {
        let folder = root().join("target/screens");
        std::fs::create_dir_all(&folder).expect("a folder");
        let file = folder.join(format!("{name}.png"));
        self.runtime
            .block_on(self.web.screenshot(&file))
            .expect("a picture");
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Its process group is killed in any case; so it ends with nothing half done.
        let web = self.web.clone();
        let quit = async { tokio::time::timeout(Duration::from_secs(5), web.quit()).await };
        let _ = self.runtime.block_on(quit);
    }
}

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The script, fetched by `.ci/axe` if it is not there.
fn axe() -> PathBuf {
    let output = Command::new(root().join(".ci/axe"))
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .expect("bash");
    assert!(output.status.success(), "no axe-core to test with");
    PathBuf::from(String::from_utf8(output.stdout).expect("text").trim())
}
