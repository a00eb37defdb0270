//! What commands hand over, done in the server's own process beside its waves: builds as refreshes are done, one after the other, and
//! deliveries that were set aside, which go on to a wave.

use std::{
    collections::HashMap,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use serde_json::Value as Json;
use wardlake_core::{ErrorKind, HasErrorKind};
use wardlake_load::{ReplayOptions, Workspace, replay};
use wardlake_project::{LoadOptions, Manifest, Project};
use wardlake_records::{EventSink, RunEvent};

use crate::{
    Server,
    handover::{BuildErrand, Errand, Line},
    waves::finished,
};

/// Does it and tells what happens; the last line of the answer.
pub(crate) async fn run(server: Arc<Server>, errand: Errand, events: EventSink) -> Line {
    match errand {
        Errand::Build(errand) => build(&server, *errand, events).await,
        Errand::Replay(options) => send_again(&server, &options, events).await,
    }
}

/// Builds with what the project is now. Whatever it was when the server started, its waves and refreshes go on with.
async fn build(server: &Server, errand: BuildErrand, events: EventSink) -> Line {
    let (run_id, options) = (errand.invocation_id.clone(), errand.options.clone());
    let (own, told) = (Arc::clone(&server.workspace.project), events.clone());
    let read = tokio::task::spawn_blocking(move || {
        let project = read(errand, told)?;
        let is_own = is_same(&project, &own);
        Ok::<_, String>((project, is_own))
    });
    let (project, is_own) = match read.await {
        Ok(Ok(read)) => read,
        Ok(Err(refused)) => return Line::failed(ErrorKind::Invalid, refused),
        Err(error) => return Line::failed(ErrorKind::Internal, format!("the project could not be read: {error}")),
    };
    let (wanted, has) = (&project.target().schema, &server.workspace.project.target().schema);
    if wanted != has {
        let text = format!(
            "the target writes to schema `{wanted}`, and the server of this lake runs with schema `{has}`; name that target, or stop \
             the server first"
        );
        return Line::failed(ErrorKind::Conflict, text);
    }
    if !is_own {
        events.warn(
            "the project is not what the server read when it started: this build goes by what is there now, its waves and refreshes \
             by what was there then, until it is started anew",
        );
    }
    let _alone = match server.building.try_lock() {
        Ok(alone) => alone,
        Err(_) => {
            let text = "the server builds something just now; this build comes next".to_owned();
            events.tell(RunEvent::Message { level: "info".to_owned(), text });
            server.building.lock().await
        }
    };
    let waiting = server.workspace.for_waiting_work();
    let workspace = Workspace { project, events, run_id, ..waiting };
    match finished(wardlake_build::build(Arc::new(workspace), options)).await {
        Ok(summary) => {
            summary.epoch.into_iter().for_each(|epoch| server.show(epoch));
            Line::Done(summary.is_success())
        }
        Err(error) => Line::failed(error.kind(), error.to_string()),
    }
}

/// The command's project, read as the command has read it.
fn read(errand: BuildErrand, events: EventSink) -> Result<Arc<Project>, String> {
    let BuildErrand { dir, target, lake, vars, env, invocation_id, run_started_at, options: build } = errand;
    let own = LoadOptions::new(&dir);
    let others = Arc::clone(&own.env);
    // What templates say while they are read, the command has told.
    let is_read = Arc::new(AtomicBool::new(false));
    let says = Arc::clone(&is_read);
    let options = LoadOptions {
        target,
        lake,
        vars,
        env: Arc::new(move |name: &str| env.get(name).cloned().unwrap_or_else(|| others(name))),
        threads: Some(build.threads),
        full_refresh: build.full_refresh,
        which: build.command,
        invocation_id,
        run_started_at,
        log: Arc::new(move |text: &str| {
            if says.load(Ordering::Relaxed) {
                events.tell(RunEvent::Message { level: "info".to_owned(), text: text.to_owned() });
            }
        }),
        ..own
    };
    let project = Project::load(options).map_err(|problems| {
        format!(
            "the server of this lake cannot read the project in {} as this command can: {problems}\nlet its user read the folder, or \
             stop the server first",
            dir.display()
        )
    })?;
    is_read.store(true, Ordering::Relaxed);
    Ok(Arc::new(project))
}

/// Whether two readings are of one project in one state.
fn is_same(one: &Project, other: &Project) -> bool {
    let folder = |dir: &Path| dir.canonicalize().unwrap_or_else(|_| dir.to_owned());
    folder(one.dir()) == folder(other.dir()) && contents(one) == contents(other)
}

/// What a project is made of, without when it was read.
fn contents(project: &Project) -> Vec<Json> {
    let manifest = Manifest::new(project, &HashMap::new());
    let parts = [
        serde_json::to_value(&manifest.nodes),
        serde_json::to_value(&manifest.sources),
        serde_json::to_value(&manifest.macros),
    ];
    let without_time = |mut part: Json| {
        for item in part.as_object_mut().into_iter().flat_map(|items| items.values_mut()) {
            if let Some(item) = item.as_object_mut() {
                item.remove("created_at");
            }
        }
        part
    };
    parts.into_iter().flatten().map(without_time).collect()
}

/// Sends deliveries through again; a wave takes them on.
async fn send_again(server: &Server, options: &ReplayOptions, events: EventSink) -> Line {
    let _alone = server.replaying.lock().await;
    let run = server.workspace.another_run(events);
    match replay(&run, options).await {
        Ok(replayed) => {
            for moved in replayed.moved {
                // Without a wave that waits for it, the server ends.
                let _ = server.moved.send(moved);
            }
            Line::Done(replayed.is_success)
        }
        Err(error) => Line::failed(error.kind(), error.to_string()),
    }
}
