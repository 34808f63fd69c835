//! The layer for the `tracing` crate: events go to Loki with their fields and those of their spans.
//!
//! ```no_run
//! use loki_push::{Config, Loki};
//! use tracing_subscriber::prelude::*;
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let loki = Loki::new(Config::new("http://localhost:3100").app("api"))?;
//!     tracing_subscriber::registry().with(loki.layer()).init();
//!     let _guard = loki.stop_on_drop();
//!
//!     let request = tracing::info_span!("request", method = "GET", path = "/cart");
//!     let _entered = request.enter();
//!     tracing::info!(items = 3, "cart shown");
//!     Ok(())
//! }
//! ```
//!
//! The entry is `cart shown | items=3 method=GET path=/cart span=request target=api`, its level a label.

use std::fmt;
use std::fmt::Write as _;
use std::sync::Arc;

use tracing_core::field::{Field, Visit};
use tracing_core::span::{Attributes, Id, Record};
use tracing_core::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::LookupSpan;

use crate::client::{Core, Line, Loki};
use crate::entry::UNSTAMPED;
use crate::parse::level::Level;
use crate::sync::own_thread::is_own_thread;

/// A `tracing_subscriber::Layer` that hands events to a client. Made by
/// [`Loki::layer`](crate::Loki::layer).
///
/// An entry is `message | field=value …`: the event's own fields, then those of its spans from the
/// innermost outwards, then `span` (the names, outermost first, joined by `:`) and `target`. A span's
/// field that the event or an inner span has too is left out. Filter it like any layer, with
/// `with_filter`. Events of the client's own threads are left out, so it cannot feed itself. It does
/// not keep the client alive: once that is stopped, events are counted as dropped.
pub struct TracingLayer {
    core: Arc<Core>,
}

impl Loki {
    /// A layer for the `tracing` crate. It does not keep the client alive.
    pub fn layer(&self) -> TracingLayer {
        TracingLayer {
            core: Arc::clone(self.core()),
        }
    }
}

impl fmt::Debug for TracingLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TracingLayer").finish_non_exhaustive()
    }
}

impl<S: Subscriber + for<'span> LookupSpan<'span>> Layer<S> for TracingLayer {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if is_own_thread() {
            return;
        }
        let Some(span) = context.span(id) else { return };
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        span.extensions_mut().insert(fields);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        if let Some(fields) = span.extensions_mut().get_mut::<Fields>() {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        if is_own_thread() {
            return;
        }
        let mut fields = Fields::default();
        event.record(&mut fields);
        let mut names = Vec::new();
        for span in context.event_scope(event).into_iter().flatten() {
            names.push(span.name());
            if let Some(outer) = span.extensions().get::<Fields>() {
                fields.inherit(outer);
            }
        }
        let mut line = Line::new(std::mem::take(&mut fields.message));
        for (name, value) in &fields.pairs {
            line.field(name, value);
        }
        if !names.is_empty() {
            names.reverse();
            line.field("span", &names.join(":"));
        }
        let metadata = event.metadata();
        line.field("target", &metadata.target());
        self.core
            .enter(level(*metadata.level()), &line, "", UNSTAMPED);
    }
}

/// The fields of an event or a span.
#[derive(Default)]
struct Fields {
    message: String,
    pairs: Vec<(&'static str, String)>,
}

impl Fields {
    /// Adds the fields of an enclosing span, but for those that are set already.
    fn inherit(&mut self, outer: &Self) {
        for (name, value) in &outer.pairs {
            if !self.pairs.iter().any(|(own, _)| own == name) {
                self.pairs.push((name, value.clone()));
            }
        }
    }

    fn set(&mut self, field: &Field, value: String) {
        let name = field.name();
        // What tracing's bridge from the `log` crate adds is no field of the event.
        if name.starts_with("log.") {
            return;
        }
        if name == "message" {
            self.message = value;
            return;
        }
        match self.pairs.iter_mut().find(|(own, _)| *own == name) {
            Some((_, own)) => *own = value,
            None => self.pairs.push((name, value)),
        }
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.set(field, value.to_owned());
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        let mut text = value.to_string();
        let mut cause = value.source();
        while let Some(error) = cause {
            let _ = write!(text, ": {error}");
            cause = error.source();
        }
        self.set(field, text);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let mut text = String::new();
        // A value that fails to show itself is shown as far as it came.
        let _ = write!(text, "{value:?}");
        self.set(field, text);
    }
}

fn level(level: tracing_core::Level) -> Level {
    match level {
        tracing_core::Level::ERROR => Level::Error,
        tracing_core::Level::WARN => Level::Warn,
        tracing_core::Level::INFO => Level::Info,
        tracing_core::Level::DEBUG => Level::Debug,
        tracing_core::Level::TRACE => Level::Trace,
    }
}
