"""What all tests share: the local cluster's fixtures."""

pytest_plugins = ["tests.cluster.fixture"]
