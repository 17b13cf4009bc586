//! Failed events out of the mirror into a file, and from a file into a dead-letter queue.

use patterns_core::failed::{MESSAGE_BYTES_MAX, Message};
use patterns_core::problem::{Problem, ProblemKind};
use patterns_core::protocol::IMPORT_MAX;

use super::{Mirror, asked, disk, known};
use crate::aws::Aws;
use crate::aws::dead_letters::Refusal;
use crate::letter::{Attribute, Letter};
use crate::state::State;
use crate::topology::name_of;

/// A page ends after so many messages, or as soon as it has so many bytes.
const PAGE: usize = 500;
const PAGE_BYTES: usize = 4 << 20;

/// The page of whole messages after that id.
pub async fn export(
    mirror: &Mirror,
    state: &State,
    queue: Option<&str>,
    after: Option<String>,
) -> Result<Vec<Message>, Problem> {
    let topology = state.topology();
    let arns = asked(&topology, queue)?
        .iter()
        .map(|queue| queue.arn.clone())
        .collect();
    let after = after.unwrap_or_default();
    let page = mirror.store.page(arns, after, PAGE, PAGE_BYTES).await;
    let page = page
        .map_err(disk)?
        .into_iter()
        .map(|(row, letter)| Message {
            dead_letter_queue: name_of(&row.queue_arn).to_owned(),
            id: row.id,
            message_id: letter.message_id,
            body: letter.body,
            attributes: letter
                .attributes
                .into_iter()
                .map(|(name, attribute)| (name, attribute.into()))
                .collect(),
            system_attributes: letter.system,
        });
    Ok(page.collect())
}

/// Sends messages to a dead-letter queue. All of them are checked before any is sent.
pub async fn import(
    aws: &Aws,
    state: &State,
    queue: &str,
    messages: Vec<Message>,
) -> Result<Vec<Result<String, String>>, Problem> {
    let topology = state.topology();
    let queue = known(&topology, queue)?;
    let bytes: usize = messages.iter().map(Message::size).sum();
    if !(1..=IMPORT_MAX).contains(&messages.len())
        || bytes > MESSAGE_BYTES_MAX && messages.len() > 1
    {
        return Err(refused(format!(
            "{} messages with {bytes} bytes are not 1 to {IMPORT_MAX} with at most {MESSAGE_BYTES_MAX}",
            messages.len()
        )));
    }
    let letters: Vec<Letter> = messages
        .into_iter()
        .map(letter)
        .collect::<Result<_, _>>()
        .map_err(refused)?;
    let sent = aws.send(&queue.url, &letters, None).await;
    Ok(sent
        .into_iter()
        .map(|sent| {
            sent.map_err(|refusal| match refusal {
                Refusal::Unknown(why) => format!("not known whether it was sent: {why}"),
                Refusal::NotNow(why)
                | Refusal::Throttled(why)
                | Refusal::Target(why)
                | Refusal::Message(why) => why,
            })
        })
        .collect())
}

fn letter(message: Message) -> Result<Letter, String> {
    let attributes = message.attributes.into_iter().map(|(name, written)| {
        let attribute = Attribute::try_from(written);
        let attribute = attribute.map_err(|why| format!("attribute {name}: {why}"))?;
        Ok((name, attribute))
    });
    Ok(Letter {
        message_id: message.message_id,
        receipt_handle: String::new(),
        body: message.body,
        attributes: attributes.collect::<Result<_, String>>()?,
        system: message.system_attributes,
    })
}

fn refused(why: String) -> Problem {
    Problem::new(
        ProblemKind::Usage,
        "the messages cannot be imported",
        why,
        "nothing of them was sent; correct the file",
    )
}
