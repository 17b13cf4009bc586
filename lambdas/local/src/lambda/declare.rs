//! What a template asks for: made if it is not there, otherwise changed to what is asked, all at once as `CloudFormation` does it.
//! What is already as it should be is left alone, with its revision and its warm environments.

use std::collections::BTreeMap;

use super::event_config::EventConfig;
use super::function::{Configuration, Function};
use super::mapping::{Changes, Mapping, Settings};
use super::{Code, EventConfigChanges, FunctionChanges, Lambda, configure, name};
use crate::error::AwsError;

/// A function as a template describes it: what is not named has its default.
pub(crate) struct Declaration {
    pub name: String,
    pub changes: FunctionChanges,
    pub tags: BTreeMap<String, String>,
    pub events: Option<EventConfigChanges>,
    pub reserved: Option<u32>,
}

impl Lambda {
    /// Makes the function as it is declared. Its program is the one that is named by its handler.
    pub(crate) fn declare(&self, declared: Declaration) -> Result<(), AwsError> {
        let name = name::parse(&declared.name)?;
        let next = configure::create(
            name.clone(),
            Code::Handler,
            declared.changes,
            self.timestamp(),
        )?;
        let events = match declared.events {
            Some(changes) => Some(EventConfig::default().change(changes, self.seconds())?),
            None => None,
        };
        {
            let mut state = self.state();
            let function = state
                .functions
                .entry(name.clone())
                .or_insert_with(|| Function::new(next.clone(), BTreeMap::new()));
            if !same(&function.configuration, &next) {
                function.reconfigure(next);
            }
            function.tags = declared.tags;
            function.event_config = events;
            function.reserved_concurrency = None;
        }
        match declared.reserved {
            Some(concurrency) => self.reserve(&name, concurrency),
            None => Ok(()),
        }
    }

    /// Connects a queue with a function as it is declared, and answers the mapping's UUID.
    pub(crate) fn declare_mapping(&self, changes: Changes) -> Result<String, AwsError> {
        let settings = Settings::create(changes, self.seconds())?;
        self.check(&settings)?;
        let mut state = self.state();
        let there = state
            .mappings
            .iter_mut()
            .find(|(_, mapping)| mapping.connects(&settings.queue_arn, &settings.function));
        let Some((uuid, mapping)) = there else {
            let uuid = uuid::Uuid::new_v4().to_string();
            let mapping = Mapping::new(settings);
            if mapping.settings.enabled {
                self.poll(&uuid, &mapping);
            }
            state.mappings.insert(uuid.clone(), mapping);
            return Ok(uuid);
        };
        let unchanged = Settings {
            last_modified: mapping.settings.last_modified,
            ..settings.clone()
        };
        if mapping.settings != unchanged {
            mapping.change(settings);
            if mapping.settings.enabled {
                self.poll(uuid, mapping);
            }
        }
        Ok(uuid.clone())
    }
}

/// Whether two configurations differ in nothing but their revisions.
fn same(present: &Configuration, next: &Configuration) -> bool {
    let next = Configuration {
        revision_id: present.revision_id.clone(),
        last_modified: present.last_modified.clone(),
        ..next.clone()
    };
    *present == next
}
