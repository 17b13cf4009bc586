//! Putting the emulator together: port, services, stacks; and taking it apart again.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::{
    admin::Admin,
    clock::Clock,
    cloudwatch::Metrics,
    deploy::{DeployError, Services, deploy},
    dynamodb::{self, Dynamo},
    faults::Faults,
    front::{Front, Room},
    http_api::HttpApis,
    lambda::{CODE_PREFIX, Lambda, LambdaParts},
    listener,
    logs::Logs,
    sqs::Sqs,
    state::{Files, Keeper, Unusable},
    witness::Witness,
};

/// How often the gauges of `AWS/SQS` are taken.
const SAMPLE_EVERY: Duration = Duration::from_secs(1);

/// How long open connections may take to end at a stop; all requests are ended before.
const STOP_WITHIN: Duration = Duration::from_secs(2);

/// What an emulator is started with.
#[derive(Clone, Debug)]
pub struct Options {
    /// Port on 127.0.0.1; 0 takes a free one.
    pub port: u16,
    /// Function invocations that may run at the same time in the account.
    pub concurrency: u32,
    /// Waits before the second and the third attempt of an asynchronous invocation; AWS waits 60 s and 120 s.
    pub retry_waits: [Duration; 2],
    /// Program and first arguments of the step that starts every function process.
    pub exec_command: Vec<OsString>,
    /// Program and first arguments of what runs a template's `Handler`, which is appended.
    pub function_command: Vec<OsString>,
    /// Unpacked zips live under it.
    pub work_dir: PathBuf,
    /// Queues, functions and tables are kept here for the next run; without it they end with this one.
    pub state_dir: Option<PathBuf>,
    /// Name and text of each template to deploy.
    pub templates: Vec<(String, String)>,
    /// Offers what AWS does not have, for tests: see [`crate::admin`].
    pub admin: bool,
}

/// A running emulator. Dropping it ends the listener; [`Local::stop`] also ends the function processes.
pub struct Local {
    /// What clients take as `AWS_ENDPOINT_URL`: `http://127.0.0.1:PORT`.
    pub endpoint_url: String,
    /// The time that every service goes by.
    pub clock: Clock,
    /// URL of the HTTP API of each stack that has one.
    pub apis: BTreeMap<String, String>,
    /// What the templates ask for and the emulator does not enforce, in words for a person.
    pub notes: Vec<String>,
    lambda: Lambda,
    dynamo: Dynamo,
    keeper: Option<Arc<Keeper>>,
    server: JoinHandle<()>,
    stop: DropGuard,
}

/// Why the emulator did not start. Nothing is left running.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Another program listens there.
    #[error(
        "port {port} is taken by another program; stop it or choose another with `--port 0` (any free one)"
    )]
    PortTaken {
        /// The port asked for.
        port: u16,
    },
    /// The port cannot be had for another reason.
    #[error(
        "cannot listen on 127.0.0.1:{port}: {error}; choose another port with `--port 0` (any free one)"
    )]
    Listen {
        /// The port asked for.
        port: u16,
        /// What the system said.
        error: io::Error,
    },
    /// Function processes would have nowhere to start, or the witness nowhere to write.
    #[error(
        "cannot make {path}: {error}; free space there, or name another place with `--state-dir`"
    )]
    WorkDir {
        /// The folder or file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// No `DynamoDB`.
    #[error(transparent)]
    Dynamo(#[from] dynamodb::StartError),
    /// What an earlier run left cannot be used.
    #[error(transparent)]
    State(#[from] Unusable),
    /// A template is not right.
    #[error("stack {stack}: {error}")]
    Deploy {
        /// Name of the stack.
        stack: String,
        /// What is wrong with it.
        error: DeployError,
    },
}

impl Local {
    /// Takes the port, starts all services, and deploys the templates.
    pub async fn start(options: Options) -> Result<Self, StartError> {
        let port = options.port;
        let listener = listener::bind(port).map_err(|error| match error.kind() {
            ErrorKind::AddrInUse => StartError::PortTaken { port },
            _ => StartError::Listen { port, error },
        })?;
        let address = listener
            .local_addr()
            .map_err(|error| StartError::Listen { port, error })?;
        let endpoint_url = format!("http://{address}");

        std::fs::create_dir_all(&options.work_dir).map_err(|error| StartError::WorkDir {
            path: options.work_dir.clone(),
            error,
        })?;
        let path = options.work_dir.join("witness.ndjson");
        let witness =
            witness(&path, options.admin).map_err(|error| StartError::WorkDir { path, error })?;
        let clock = Clock::default();
        forget_programs(&options.work_dir);
        let files = options.state_dir.as_deref().map(Files::within);
        let files = files.transpose()?;
        let tables = files.as_ref().map(Files::tables);
        let dynamo = Dynamo::start(clock.clone(), tables.as_deref())?;
        let metrics = Metrics::new(clock.clone());
        let logs = Logs::new(clock.clone());
        let sqs = Sqs::new(
            clock.clone(),
            metrics.clone(),
            witness.clone(),
            endpoint_url.clone(),
        );
        let lambda = Lambda::new(LambdaParts {
            clock: clock.clone(),
            sqs: sqs.clone(),
            metrics: metrics.clone(),
            logs: logs.clone(),
            witness: witness.clone(),
            endpoint_url: endpoint_url.clone(),
            concurrency: options.concurrency,
            retry_waits: options.retry_waits,
            exec_command: options.exec_command,
            function_command: options.function_command,
            work_dir: options.work_dir,
            zips: files.as_ref().map(Files::zips),
        });
        let http_apis = HttpApis::new(clock.clone(), lambda.clone());
        let keeper = match files {
            Some(files) => Some(restored(files, &sqs, &lambda).await?),
            None => None,
        };

        let stop = CancellationToken::new();
        if let Some(keeper) = &keeper {
            tokio::spawn(
                stop.clone()
                    .run_until_cancelled_owned(keeper.clone().keep()),
            );
        }
        tokio::spawn(
            stop.clone()
                .run_until_cancelled_owned(sample(clock.clone(), sqs.clone())),
        );
        let front = Front {
            sqs: sqs.clone(),
            metrics,
            logs,
            dynamo: dynamo.clone(),
            lambda: lambda.clone(),
            http_apis: http_apis.clone(),
            admin: options.admin.then(|| Admin {
                faults: Faults::default(),
                clock: clock.clone(),
                witness,
            }),
            stop: stop.clone(),
            room: Room::default(),
        };
        let mut local = Self {
            clock,
            apis: BTreeMap::new(),
            notes: Vec::new(),
            lambda: lambda.clone(),
            dynamo: dynamo.clone(),
            keeper,
            server: tokio::spawn(listener::run(listener, front, stop.clone())),
            stop: stop.drop_guard(),
            endpoint_url,
        };

        let services = Services {
            sqs,
            lambda,
            dynamo,
            http_apis,
        };
        if let Err(error) = local.deploy(&options.templates, &services).await {
            local.stop().await;
            return Err(error);
        }
        Ok(local)
    }

    async fn deploy(
        &mut self,
        templates: &[(String, String)],
        services: &Services,
    ) -> Result<(), StartError> {
        for (stack, template) in templates {
            let deployed = deploy(stack, template, services).await;
            let deployed = deployed.map_err(|error| StartError::Deploy {
                stack: stack.clone(),
                error,
            })?;
            for note in deployed.notes {
                if !self.notes.contains(&note) {
                    self.notes.push(note);
                }
            }
            if services.http_apis.has(stack) {
                let url = format!("{}/_apis/{stack}", self.endpoint_url);
                self.apis.insert(stack.clone(), url);
            }
        }
        Ok(())
    }

    /// Kills all function processes, keeps the state, ends pollers, long polls and the listener.
    pub async fn stop(self) {
        self.lambda.stop().await;
        drop(self.stop);
        if tokio::time::timeout(STOP_WITHIN, self.server)
            .await
            .is_err()
        {
            tracing::warn!("some connections did not end in time");
        }
        if let Some(keeper) = self.keeper {
            let written = tokio::task::spawn_blocking(move || keeper.write_or_tell()).await;
            if let Err(error) = written {
                tracing::error!(%error, "the state was not written");
            }
        }
        self.dynamo.stop(STOP_WITHIN).await;
    }
}

/// Puts the state of an earlier run in place. Reading and unpacking block, so they have a thread of their own.
async fn restored(files: Files, sqs: &Sqs, lambda: &Lambda) -> Result<Arc<Keeper>, StartError> {
    let directory = files.clone();
    let (queues, functions) = (sqs.clone(), lambda.clone());
    let restored =
        tokio::task::spawn_blocking(move || Keeper::restore(files, queues, functions)).await;
    match restored {
        Ok(Ok(keeper)) => Ok(Arc::new(keeper)),
        Ok(Err(unusable)) => {
            lambda.stop().await;
            Err(unusable.into())
        }
        Err(panic) => {
            lambda.stop().await;
            Err(Unusable::new(&directory.tables(), panic.to_string()).into())
        }
    }
}

/// Removes unpacked zips that a run which was killed has left.
fn forget_programs(work_dir: &Path) {
    for entry in std::fs::read_dir(work_dir).into_iter().flatten().flatten() {
        let name = entry.file_name();
        if name.to_string_lossy().starts_with(CODE_PREFIX)
            && let Err(error) = std::fs::remove_dir_all(entry.path())
        {
            tracing::warn!(%error, "cannot remove {}", entry.path().display());
        }
    }
}

fn witness(path: &Path, kept: bool) -> io::Result<Witness> {
    if kept {
        Witness::to(path)
    } else {
        Ok(Witness::default())
    }
}

async fn sample(clock: Clock, sqs: Sqs) {
    loop {
        sqs.sample();
        clock.sleep(SAMPLE_EVERY).await;
    }
}

#[cfg(test)]
mod tests;
