//! Answers an operation: one walk over what is asked, written straight into the body.

use std::io::Write;

use chrono::SecondsFormat;
use serde_json::Value;

use super::arguments::Arguments;
use super::cursor::Cursor;
use super::document::{Field, Selection};
use super::errors::Failure;
use super::things::{Answer, Thing};

/// Writes answers.
pub(super) struct Writer<'a, 'w> {
    pub(super) arguments: &'a Arguments<'a>,
    /// The whole thing that a stub stands for; none if it was deleted, and the answer is null.
    pub(super) find: &'a dyn Fn(&'static str, i64) -> Option<Thing<'w>>,
    pub(super) out: Vec<u8>,
    /// What it cost so far: objects that were answered.
    pub(super) spent: i64,
}

impl<'w> Writer<'_, 'w> {
    /// Writes one object.
    pub(super) fn object(&mut self, thing: Thing<'w>, asked: &Selection) -> Result<(), Failure> {
        let thing = match thing {
            Thing::Stub(kind, id) => (self.find)(kind, id),
            whole => Some(whole),
        };
        let Some(thing) = thing else {
            self.put(b"null");
            return Ok(());
        };
        if !matches!(thing, Thing::Money(_) | Thing::MoneyIn(_) | Thing::Attribute(..)) {
            self.spent += 1;
        }
        self.members(asked.of(thing.kind()), |field| Ok(thing.field(&field.name)), thing.kind())
    }

    /// Writes an object of these fields.
    pub(super) fn members(
        &mut self,
        fields: &[Field],
        answer: impl Fn(&Field) -> Result<Answer<'w>, Failure>,
        kind: &str,
    ) -> Result<(), Failure> {
        self.out.push(b'{');
        for (place, field) in fields.iter().enumerate() {
            if place > 0 {
                self.out.push(b',');
            }
            self.out.extend_from_slice(field.key.as_bytes());
            self.answer(answer(field)?, field, kind)?;
        }
        self.out.push(b'}');
        Ok(())
    }

    fn answer(&mut self, answer: Answer<'w>, field: &Field, kind: &str) -> Result<(), Failure> {
        match answer {
            Answer::Unheld => return Err(Failure::internal(format!("{kind}.{} is not held", field.name))),
            Answer::Null if field.required => {
                return Err(Failure::internal(format!("{kind}.{} is null", field.name)));
            }
            Answer::Null => self.put(b"null"),
            Answer::Yes(yes) => self.put(if yes { b"true" } else { b"false" }),
            Answer::Number(number) => self.print(format_args!("{number}")),
            Answer::Text(text) => self.text(text),
            Answer::Made(text) => self.text(&text),
            Answer::Id(kind, id) => self.print(format_args!("\"gid://shopify/{kind}/{id}\"")),
            Answer::Digits(number) => self.print(format_args!("\"{number}\"")),
            Answer::Time(at) => self.print(format_args!("\"{}\"", at.to_rfc3339_opts(SecondsFormat::Secs, true))),
            Answer::Amount(amount) => self.amount(amount),
            Answer::Words(words) => self.json(&words.into()),
            Answer::One(thing) => self.asked_of(field, |writer, asked| writer.object(thing, asked))?,
            Answer::Many(things) if field.is_connection() => self.page_of(things, field)?,
            Answer::Many(mut things) => {
                let first = self.arguments.integer(field, "first").and_then(|first| usize::try_from(first).ok());
                things.truncate(first.unwrap_or(usize::MAX));
                self.asked_of(field, |writer, asked| writer.list(&things, |thing| *thing, asked))?;
            }
            Answer::Nodes(things) => self.asked_of(field, |writer, asked| {
                writer.list(&things, |thing| thing.unwrap_or(Thing::Stub("Node", 0)), asked)
            })?,
            Answer::Page(page, more) => self.connection(&page, more, field)?,
        }
        Ok(())
    }

    fn asked_of(
        &mut self,
        field: &Field,
        write: impl FnOnce(&mut Self, &Selection) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        match &field.selection {
            Some(asked) => write(self, asked),
            None => Err(Failure::internal(format!("nothing is asked of {}", field.name))),
        }
    }

    fn list<T>(&mut self, items: &[T], thing: impl Fn(&T) -> Thing<'w>, asked: &Selection) -> Result<(), Failure> {
        self.out.push(b'[');
        for (place, item) in items.iter().enumerate() {
            if place > 0 {
                self.out.push(b',');
            }
            self.object(thing(item), asked)?;
        }
        self.out.push(b']');
        Ok(())
    }

    /// A page of a list that hangs on one object: ids go up within it.
    fn page_of(&mut self, things: Vec<Thing<'w>>, field: &Field) -> Result<(), Failure> {
        let first = self.arguments.first(field)?;
        let after = self.arguments.text(field, "after").map(|text| Cursor::decode(&text)).transpose()?;
        let keyed = things.into_iter().map(|thing| (thing, Cursor { last_value: thing.id(), last_id: thing.id() }));
        let mut page: Vec<(Thing<'w>, Cursor)> =
            keyed.filter(|(_, key)| after.is_none_or(|after| *key > after)).take(first + 1).collect();
        let more = page.len() > first;
        page.truncate(first);
        self.connection(&page, more, field)
    }

    fn connection(&mut self, page: &[(Thing<'w>, Cursor)], more: bool, field: &Field) -> Result<(), Failure> {
        let Some(asked) = &field.selection else { return Err(Failure::internal("a connection without fields")) };
        self.spent += 2;
        self.out.push(b'{');
        for (place, part) in asked.of(&field.of).iter().enumerate() {
            if place > 0 {
                self.out.push(b',');
            }
            self.out.extend_from_slice(part.key.as_bytes());
            match part.name.as_str() {
                "__typename" => self.text(&field.of),
                "nodes" => self.asked_of(part, |writer, asked| writer.list(page, |(thing, _)| *thing, asked))?,
                "edges" => self.asked_of(part, |writer, asked| writer.edges(page, part, asked))?,
                "pageInfo" => self.asked_of(part, |writer, asked| writer.page_info(page, more, asked))?,
                other => return Err(Failure::internal(format!("{}.{other} is not held", field.of))),
            }
        }
        self.out.push(b'}');
        Ok(())
    }

    fn edges(&mut self, page: &[(Thing<'w>, Cursor)], edge: &Field, asked: &Selection) -> Result<(), Failure> {
        self.out.push(b'[');
        for (place, (thing, key)) in page.iter().enumerate() {
            if place > 0 {
                self.out.push(b',');
            }
            let part = |field: &Field| match field.name.as_str() {
                "node" => Ok(Answer::One(*thing)),
                "cursor" => Ok(Answer::Made(key.encode())),
                _ => Ok(Answer::Unheld),
            };
            self.members(asked.of(&edge.of), part, &edge.of)?;
        }
        self.out.push(b']');
        Ok(())
    }

    fn page_info(&mut self, page: &[(Thing<'w>, Cursor)], more: bool, asked: &Selection) -> Result<(), Failure> {
        let part = |field: &Field| match field.name.as_str() {
            "hasNextPage" => Ok(Answer::Yes(more)),
            "endCursor" => Ok(page.last().map_or(Answer::Null, |(_, key)| Answer::Made(key.encode()))),
            _ => Ok(Answer::Unheld),
        };
        self.members(asked.of("PageInfo"), part, "PageInfo")
    }

    pub(super) fn put(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    fn print(&mut self, what: std::fmt::Arguments<'_>) {
        drop(self.out.write_fmt(what));
    }

    /// Money loses its zeros on the right, but for one: `20.00` is `"20.0"`.
    fn amount(&mut self, amount: rust_decimal::Decimal) {
        let amount = amount.normalize();
        if amount.scale() == 0 {
            self.print(format_args!("\"{amount}.0\""));
        } else {
            self.print(format_args!("\"{amount}\""));
        }
    }

    fn text(&mut self, text: &str) {
        drop(serde_json::to_writer(&mut self.out, text));
    }

    pub(super) fn json(&mut self, value: &Value) {
        drop(serde_json::to_writer(&mut self.out, value));
    }
}
