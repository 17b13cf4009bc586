//! Where the cases run: in an emulator of ours, unless the environment names another place.
//!
//! `PATTERNS_CONTRACT_ENDPOINT=http://127.0.0.1:PORT` is another emulator. `PATTERNS_CONTRACT_ACCOUNT=<id>` is AWS itself, with the
//! credentials and the region of the environment; nothing is created before STS has said that they belong to that account.
//! There the names of each case have a prefix of their own, and what has it is removed at the case's end.

use std::{
    ffi::OsString,
    path::PathBuf,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use aws_config::{BehaviorVersion, Region, SdkConfig, retry::RetryConfig};
use aws_sdk_sqs::config::{Credentials, SharedCredentialsProvider};
use patterns_local::Options;

const ENDPOINT: &str = "PATTERNS_CONTRACT_ENDPOINT";
const ACCOUNT: &str = "PATTERNS_CONTRACT_ACCOUNT";

/// What the clients of a case talk to.
pub struct Cloud {
    pub config: SdkConfig,
    pub account: String,
    prefix: String,
}

impl Cloud {
    /// An emulator of ours at this URL. Its cases have plain names.
    pub fn ours(url: &str) -> Self {
        Self {
            config: emulator(url),
            account: "000000000000".to_owned(),
            prefix: String::new(),
        }
    }

    /// What the environment names, if anything.
    pub async fn elsewhere() -> Option<Self> {
        static CASES: AtomicUsize = AtomicUsize::new(0);
        if !is_elsewhere() {
            return None;
        }
        let wanted = std::env::var(ACCOUNT).ok();
        let config = match std::env::var(ENDPOINT) {
            Ok(url) => {
                assert_eq!(wanted, None, "set {ENDPOINT} or {ACCOUNT}, not both");
                emulator(&url)
            }
            Err(_) => aws_config::load_defaults(BehaviorVersion::latest()).await,
        };
        let identity = aws_sdk_sts::Client::new(&config).get_caller_identity();
        let account = identity.send().await.unwrap().account.unwrap();
        if let Some(wanted) = wanted {
            assert_eq!(account, wanted, "the credentials are of another account");
        }
        let case = CASES.fetch_add(1, Ordering::Relaxed);
        Some(Self {
            config,
            account,
            prefix: format!("contract-{}-{case}-", std::process::id()),
        })
    }

    /// The name of what a case calls `plain`.
    pub fn name(&self, plain: &str) -> String {
        format!("{}{plain}", self.prefix)
    }

    pub fn queue_arn(&self, plain: &str) -> String {
        self.arn("sqs", &self.name(plain))
    }

    pub fn arn(&self, service: &str, resource: &str) -> String {
        let region = self.config.region().unwrap();
        format!("arn:aws:{service}:{region}:{}:{resource}", self.account)
    }
}

/// What has a case's prefix goes with it, also when the case failed.
impl Drop for Cloud {
    fn drop(&mut self) {
        if self.prefix.is_empty() {
            return;
        }
        let (config, prefix) = (self.config.clone(), self.prefix.clone());
        // The case's own runtime is in use, or already gone.
        let sweep = std::thread::spawn(move || {
            let runtime = tokio::runtime::Runtime::new().unwrap();
            runtime.block_on(sweep(&config, &prefix));
        });
        if sweep.join().is_err() {
            eprintln!("what begins with {} may be left over", self.prefix);
        }
    }
}

async fn sweep(config: &SdkConfig, prefix: &str) {
    let sqs = aws_sdk_sqs::Client::new(config);
    let queues = sqs.list_queues().queue_name_prefix(prefix).send().await;
    for url in queues.unwrap().queue_urls() {
        sqs.delete_queue().queue_url(url).send().await.unwrap();
    }
}

/// Whether the cases run elsewhere, where this one has to be left out because of `reason`.
pub fn leaves_out(reason: &str) -> bool {
    let elsewhere = is_elsewhere();
    if elsewhere {
        println!("left out: {reason}");
    }
    elsewhere
}

pub fn is_elsewhere() -> bool {
    [ENDPOINT, ACCOUNT].map(std::env::var_os) != [None, None]
}

/// How long is waited for what must come before the case fails. AWS's metrics take minutes.
pub fn patience() -> Duration {
    match std::env::var_os(ACCOUNT) {
        Some(_) => Duration::from_mins(15),
        None => Duration::from_secs(30),
    }
}

/// How the emulator of a case is started.
pub fn options(concurrency: u32, work_dir: PathBuf) -> Options {
    let exe = OsString::from(env!("CARGO_BIN_EXE_patterns-local"));
    Options {
        port: 0,
        concurrency,
        // Short, because nothing here depends on their length.
        retry_waits: [Duration::from_millis(20), Duration::from_millis(40)],
        exec_command: vec![exe.clone(), "exec".into()],
        function_command: vec![exe, "function".into()],
        work_dir,
        state_dir: None,
        templates: Vec::new(),
        admin: false,
    }
}

fn emulator(url: &str) -> SdkConfig {
    let credentials = Credentials::new("any", "any", None, None, "test");
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        // An error or a throttle is a case to see, not to hide.
        .retry_config(RetryConfig::disabled())
        .endpoint_url(url)
        .build()
}
