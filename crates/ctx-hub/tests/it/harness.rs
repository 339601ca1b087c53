//! What tests of the client, the sync engine and the whole share: a real hub, and projects on it.

use camino::{Utf8Path, Utf8PathBuf};
use ctx_config::paths::{CONTEXT_DIR, ContextDir, UserDir};
use ctx_hub::client::{HubClient, Timeouts, Trust};
use ctx_hub::connection::Connection;
use ctx_hub::types::{ClientId, TypeSet};

pub(crate) use crate::server::hub::TestHub;

/// A project of a test: its directory, its person's home, and its registration.
pub(crate) struct TestProject {
    /// The folder that the project keeps.
    pub(crate) context: ContextDir,
    /// The person's folder, where the key is.
    pub(crate) user: UserDir,
    /// Connected to the hub, with the project's token.
    pub(crate) client: HubClient,
    /// By which the hub knows it.
    pub(crate) client_id: ClientId,
    dir: Utf8PathBuf,
    _temp: tempfile::TempDir,
}

impl TestProject {
    /// A project in a temporary directory, registered at `hub` under `name`, its connection saved,
    /// every type subscribed.
    pub(crate) async fn registered(hub: &TestHub, name: &str) -> Self {
        let temp = tempfile::tempdir().unwrap();
        let root = Utf8Path::from_path(temp.path()).unwrap();
        let dir = root.join(name);
        let context = ContextDir::new(dir.join(CONTEXT_DIR));
        let user = UserDir::under_home(&root.join("home"));
        std::fs::create_dir_all(context.path()).unwrap();
        std::fs::create_dir_all(root.join("home")).unwrap();

        let project = name.parse().unwrap();
        let client = HubClient::connect(&hub.address(), Timeouts::default())
            .await
            .unwrap();
        let registration = client.register(hub.admin_token(), &project).await.unwrap();
        let connection = Connection {
            hub_addr: hub.address(),
            trust: Trust::System,
            insecure: false,
            token: registration.token.clone(),
            types: TypeSet::all(),
            project: Some(project),
            client_id: Some(registration.client_id.clone()),
            next_token: None,
            lifetime: None,
        };
        connection.save(&context, &user).unwrap();
        Self {
            context,
            user,
            client: client.with_token(registration.token),
            client_id: registration.client_id,
            dir,
            _temp: temp,
        }
    }

    /// The directory that holds the project.
    pub(crate) fn dir(&self) -> &Utf8Path {
        &self.dir
    }

    /// What the project has saved about its hub.
    pub(crate) fn connection(&self) -> Connection {
        Connection::load(&self.context, &self.user).unwrap()
    }
}

#[tokio::test]
async fn a_test_project_is_registered_and_has_saved_its_connection() {
    let hub = TestHub::start();
    let project = TestProject::registered(&hub, "alpha").await;
    let connection = project.connection();
    assert_eq!(connection.client_id.as_ref(), Some(&project.client_id));
    assert_eq!(connection.hub_addr, hub.address());
    assert!(project.dir().ends_with("alpha"));
    let status = project.client.status().await.unwrap();
    assert_eq!(status.total_entries, 0);
}
