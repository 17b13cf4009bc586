//! Functions, event source mappings and waiting events as one document that outlives a run.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Lambda;
use super::code::{self, Code};
use super::environment::Invocation;
use super::event::Event;
use super::event_config::EventConfig;
use super::filter::Filters;
use super::function::{Configuration, Function};
use super::mapping::{Mapping, Settings};

/// Raised when a field means something else than before.
const VERSION: u32 = 1;

/// A zip is written before its function is there; none takes longer than this in between.
const UNUSED_AFTER: Duration = Duration::from_mins(1);

/// Read before the rest, which another version may have changed.
#[derive(Deserialize)]
struct Versioned {
    version: u32,
}

#[derive(Serialize, Deserialize)]
struct Document {
    version: u32,
    functions: Vec<KeptFunction>,
    mappings: BTreeMap<String, KeptMapping>,
    events: Vec<KeptEvent>,
}

#[derive(Serialize, Deserialize)]
struct KeptFunction {
    configuration: Configuration,
    program: Program,
    tags: BTreeMap<String, String>,
    event_config: Option<EventConfig>,
    reserved_concurrency: Option<u32>,
}

#[derive(Serialize, Deserialize)]
enum Program {
    /// The zip is in a file of its own, named by this digest.
    Zip(String),
    Path(PathBuf),
    Handler,
}

#[derive(Serialize, Deserialize)]
struct KeptMapping {
    settings: Settings,
    filters: Value,
}

#[derive(Serialize, Deserialize)]
struct KeptEvent {
    function: String,
    request_id: String,
    /// JSON, as it came.
    payload: String,
    trace_id: String,
    client_context: Option<String>,
    received: jiff::Timestamp,
    attempts: u32,
}

impl Lambda {
    /// The document as it is now.
    pub(crate) fn copy(&self) -> Result<String, serde_json::Error> {
        let (functions, mappings, events): (_, _, Vec<Event>) = {
            let state = self.state();
            (
                state.functions.values().map(KeptFunction::of).collect(),
                state.mappings.iter().map(KeptMapping::of).collect(),
                state.events.values().cloned().collect(),
            )
        };
        serde_json::to_string(&Document {
            version: VERSION,
            functions,
            mappings,
            events: events.into_iter().map(KeptEvent::of).collect(),
        })
    }

    /// Puts what an earlier run left in place. Mappings poll and events run again. On a problem, which is returned in words, nothing is.
    pub(crate) fn restore(&self, text: &str) -> Result<(), String> {
        let words = |error: serde_json::Error| error.to_string();
        let Versioned { version } = serde_json::from_str(text).map_err(words)?;
        if version != VERSION {
            return Err(format!("it has the version {version}, not {VERSION}"));
        }
        let document: Document = serde_json::from_str(text).map_err(words)?;
        let mut functions = BTreeMap::new();
        for kept in document.functions {
            let configuration = Configuration {
                code: self.program(kept.program)?,
                ..kept.configuration
            };
            let name = configuration.name.clone();
            let mut function = Function::new(configuration, kept.tags);
            function.event_config = kept.event_config;
            function.reserved_concurrency = kept.reserved_concurrency;
            functions.insert(name, function);
        }
        let mut mappings = BTreeMap::new();
        for (uuid, kept) in document.mappings {
            let criteria = serde_json::from_value(kept.filters).map_err(words)?;
            let settings = Settings {
                filters: Filters::read(criteria).map_err(|error| error.message)?,
                ..kept.settings
            };
            mappings.insert(uuid, Mapping::new(settings));
        }
        {
            let mut state = self.state();
            state.functions = functions;
            state.mappings = mappings;
            for (uuid, mapping) in &state.mappings {
                if mapping.settings.enabled {
                    self.poll(uuid, mapping);
                }
            }
        }
        for kept in document.events {
            self.begin(Event {
                function: kept.function,
                invocation: Invocation {
                    request_id: kept.request_id,
                    payload: Bytes::from(kept.payload),
                    trace_id: kept.trace_id,
                    client_context: kept.client_context,
                },
                received: kept.received,
                attempts: kept.attempts,
            });
        }
        Ok(())
    }

    fn program(&self, program: Program) -> Result<Code, String> {
        let parts = &self.inner.parts;
        match (program, &parts.zips) {
            (Program::Zip(digest), Some(zips)) => {
                let path = zip_path(zips, &digest);
                let zip = fs::read(&path);
                let zip = zip.map_err(|error| format!("its zip {}: {error}", path.display()))?;
                code::unpack(&zip, &parts.work_dir).map_err(|error| error.message)
            }
            (Program::Zip(_), None) => Err("zips were not kept".to_owned()),
            (Program::Path(path), _) => Ok(Code::Path(path)),
            (Program::Handler, _) => Ok(Code::Handler),
        }
    }

    /// Removes the zips of programs that neither `written`, the text that the next run begins with, nor a function of now names.
    pub(crate) fn forget_zips(&self, written: &str) -> io::Result<()> {
        let Some(zips) = &self.inner.parts.zips else {
            return Ok(());
        };
        // Listed first: a zip that is written meanwhile, and whose function is not there yet, must stay.
        let files: Vec<_> = fs::read_dir(zips)?.collect::<Result<_, _>>()?;
        let used: Vec<PathBuf> = {
            let state = self.state();
            let codes = state.functions.values();
            let digests = codes.filter_map(|function| match &function.configuration.code {
                Code::Zip { digest, .. } => Some(zip_path(zips, digest)),
                _ => None,
            });
            digests.collect()
        };
        for file in files {
            // Younger than a creation can take to reach the list of functions.
            let age = file.metadata()?.modified()?.elapsed().unwrap_or_default();
            let path = file.path();
            let digest = path.file_stem().and_then(|digest| digest.to_str());
            let kept = digest.is_some_and(|digest| written.contains(digest));
            if !kept && !used.contains(&path) && age > UNUSED_AFTER {
                fs::remove_file(path)?;
            }
        }
        Ok(())
    }
}

/// Writes a zip to where a later run finds it.
pub(super) fn keep_zip(zips: &Path, zip: &[u8], digest: &str) -> io::Result<()> {
    let mut file = tempfile::NamedTempFile::new_in(zips)?;
    file.write_all(zip)?;
    file.as_file().sync_all()?;
    file.persist(zip_path(zips, digest))?;
    Ok(())
}

/// Base64's `/` cannot be in a file name.
fn zip_path(zips: &Path, digest: &str) -> PathBuf {
    zips.join(format!("{}.zip", digest.replace('/', "_")))
}

impl KeptFunction {
    fn of(function: &Function) -> Self {
        Self {
            configuration: Configuration::clone(&function.configuration),
            program: match &function.configuration.code {
                Code::Zip { digest, .. } => Program::Zip(digest.clone()),
                Code::Path(path) => Program::Path(path.clone()),
                Code::Handler => Program::Handler,
            },
            tags: function.tags.clone(),
            event_config: function.event_config.clone(),
            reserved_concurrency: function.reserved_concurrency,
        }
    }
}

impl KeptMapping {
    fn of((uuid, mapping): (&String, &Mapping)) -> (String, Self) {
        let kept = Self {
            settings: mapping.settings.clone(),
            filters: mapping.settings.filters.view(),
        };
        (uuid.clone(), kept)
    }
}

impl KeptEvent {
    fn of(event: Event) -> Self {
        Self {
            function: event.function,
            request_id: event.invocation.request_id,
            payload: String::from_utf8_lossy(&event.invocation.payload).into_owned(),
            trace_id: event.invocation.trace_id,
            client_context: event.invocation.client_context,
            received: event.received,
            attempts: event.attempts,
        }
    }
}
