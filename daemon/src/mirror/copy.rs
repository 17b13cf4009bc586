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
        .map(|(row, letter)| message(name_of(&row.queue_arn), row.id, letter));
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
        .map(|message| {
            let id = message.id.clone();
            letter(message, queue.fifo).map_err(|why| format!("event {id}: {why}"))
        })
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

fn message(queue: &str, id: String, letter: Letter) -> Message {
    let attributes = letter.attributes.into_iter();
    Message {
        dead_letter_queue: queue.to_owned(),
        id,
        message_id: letter.message_id,
        body: letter.body,
        attributes: attributes
            .map(|(name, attribute)| (name, attribute.into()))
            .collect(),
        system_attributes: letter.system,
    }
}

/// The message for a queue of that kind, as it was; or why that queue would not take it.
fn letter(mut message: Message, fifo: bool) -> Result<Letter, String> {
    message.check()?;
    if fifo && !message.system_attributes.contains_key("MessageGroupId") {
        return Err("it has no MessageGroupId, and a FIFO queue takes none without".to_owned());
    }
    if !fifo {
        // A standard queue refuses it. (SQS API Reference, `SendMessageBatchRequestEntry`.)
        message.system_attributes.remove("MessageDeduplicationId");
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::letter::AttributeValue;
    use crate::letter::tests::text;

    fn exported() -> Letter {
        let mut letter = crate::letter::tests::letter("m", "{ \"n\" :1}\n\u{1F600}");
        letter.receipt_handle = String::new();
        for (name, value) in [
            ("MessageGroupId", "g"),
            ("MessageDeduplicationId", "d"),
            ("AWSTraceHeader", "Root=1"),
            ("SentTimestamp", "1700000000000"),
        ] {
            letter.system.insert(name.to_owned(), value.to_owned());
        }
        letter.attributes.insert("kind".to_owned(), text("ä"));
        let of = |data_type: &str, value| Attribute {
            data_type: data_type.to_owned(),
            value,
        };
        let price = of("Number.eur", AttributeValue::Text("1.50".to_owned()));
        letter.attributes.insert("price".to_owned(), price);
        let blob = of("Binary.raw", AttributeValue::Binary(vec![0, 255]));
        letter.attributes.insert("blob".to_owned(), blob);
        letter
    }

    #[test]
    fn nothing_is_lost_on_the_way_out_and_in() {
        let line = serde_json::to_string(&message("dlq.fifo", "a1".to_owned(), exported()));
        let read: Message = serde_json::from_str(&line.unwrap()).unwrap();
        assert_eq!(letter(read, true), Ok(exported()));
    }

    #[test]
    fn what_a_queue_would_not_take_is_refused_before_anything_is_sent() {
        let whole = || message("dlq", "a1".to_owned(), exported());
        let standard = letter(whole(), false).unwrap();
        assert_eq!(standard.system.get("MessageDeduplicationId"), None);
        assert_eq!(standard.system["MessageGroupId"], "g");
        let mut forged = [whole(), whole(), whole()];
        forged[0].system_attributes.remove("MessageGroupId");
        forged[1].body.clear();
        forged[2].attributes.get_mut("blob").unwrap().value = "A".to_owned();
        for message in forged {
            assert!(letter(message, true).is_err());
        }
    }
}
