"""What the chart makes of its values, by real Helm without a cluster."""

import base64
import json
import re
from collections.abc import Iterator
from dataclasses import fields
from ipaddress import ip_network
from typing import Any

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

from bramble.api.jobs import JobDefaults
from bramble.settings import Settings
from tools.installation import CHART, LOCAL_VALUES, NAMESPACE, RELEASE, Helm, HelmFailed

Manifest = dict[str, Any]


def render(helm: Helm, *settings: str) -> list[Manifest]:
    chosen = [each if each.startswith("--") else f"--set={each}" for each in settings]
    text = helm("template", RELEASE, str(CHART), f"--namespace={NAMESPACE}", f"--values={LOCAL_VALUES}", *chosen)
    return [document for document in yaml.safe_load_all(text) if document]


@pytest.fixture(scope="module")
def objects(helm: Helm) -> list[Manifest]:
    return render(helm)


def one(objects: list[Manifest], kind: str, name: str) -> Manifest:
    found = [each for each in objects if each["kind"] == kind and each["metadata"]["name"] == name]
    assert len(found) == 1, [(each["kind"], each["metadata"]["name"]) for each in objects]
    return found[0]


def certificate(objects: list[Manifest]) -> x509.Certificate:
    return x509.load_pem_x509_certificate(base64.b64decode(one(objects, "Secret", "bramble-gateway-tls")["data"]["tls.crt"]))


def test_lint(helm: Helm) -> None:
    assert "0 chart(s) failed" in helm("lint", "--strict", str(CHART), f"--values={LOCAL_VALUES}")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        pytest.param("images.train.digest=", "images.train.digest is empty", id="an image without a digest"),
        pytest.param("images.edge.digest=sha256:12", "/images/edge/digest", id="a digest cut short"),
        pytest.param("operator.replica=2", "'replica' not allowed", id="a value that does not exist"),
        pytest.param("gateway.replicas=0", "/gateway/replicas", id="nobody to talk to"),
        pytest.param("operator.settings.observeSeconds=99.5", "/operator/settings/observeSeconds", id="a fraction that is too large"),
        pytest.param("operator.settings.observeSeconds=0.0", "/operator/settings/observeSeconds", id="no time between two readings"),
        pytest.param("stores.allowedNetworks={1/999}", "/stores/allowedNetworks/0", id="a network that is none"),
        pytest.param("stores.allowedNetworks={10.0.0.0/33}", "/stores/allowedNetworks/0", id="a prefix that is too long"),
        pytest.param("stores.allowedNetworks={10.0.0.256/8}", "/stores/allowedNetworks/0", id="an address that is none"),
        pytest.param("stores.allowedNetworks={10.0.0/8}", "/stores/allowedNetworks/0", id="an address cut short"),
        pytest.param("stores.allowedNetworks={fe80::/129}", "/stores/allowedNetworks/0", id="a prefix that is too long for IPv6"),
        pytest.param("log.format=xml", "/log/format", id="a log format that does not exist"),
        pytest.param(
            "jobs.resources.snapshot.limits.cpu=2 cores",
            "at '/jobs/resources/snapshot/limits/cpu': '2 cores' does not match pattern '^[0-9]+(",
            id="a quantity of a step that is none",
        ),
        pytest.param(
            "jobs.resources.convert.requests.memory=4gi", "'/jobs/resources/convert/requests/memory': '4gi'", id="a unit that is none"
        ),
        pytest.param("gateway.resources.limits.memory=512mi", "'/gateway/resources/limits/memory': '512mi'", id="a unit of a service's"),
        pytest.param(
            "operator.resources.limits.cpu=-1", "'/operator/resources/limits/cpu': minimum: got -1, want 0", id="less than nothing"
        ),
        pytest.param(
            "jobs.resources.fetch.limits.CPU=1",
            "'/jobs/resources/fetch/limits': additional properties 'CPU' not allowed",
            id="a resource that is none",
        ),
        pytest.param("gateway.url=http://gateway:80", "/gateway/url", id="a gateway without TLS"),
    ],
)
def test_wrong_values_are_named(helm: Helm, settings: str, message: str) -> None:
    with pytest.raises(HelmFailed, match=re.escape(message)):
        render(helm, settings)


def leaves(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    for name, field in schema.get("properties", {}).items():
        if "properties" in field:
            yield from leaves(field, f"{path}{name}.")
        yield f"{path}{name}", field


def test_every_value_is_described_and_has_a_default() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    defaults = yaml.safe_load((CHART / "values.yaml").read_text())
    missing = []
    for path, field in leaves(schema):
        if "$ref" not in field and not field.get("description"):
            missing.append(f"{path} is not described")
        place = defaults
        for name in path.split("."):
            if path != "global" and name not in place:
                missing.append(f"{path} has no default")
                break
            place = place.get(name)
    assert missing == []


def environment(objects: list[Manifest], component: str) -> dict[str, str]:
    container = one(objects, "Deployment", f"bramble-{component}")["spec"]["template"]["spec"]["containers"][0]
    own: dict[str, str] = {each["name"]: each["valueFrom"]["fieldRef"]["fieldPath"] for each in container["env"]}
    shared: dict[str, str] = one(objects, "ConfigMap", "bramble-settings")["data"]
    return own | shared


@pytest.mark.parametrize("component", ["operator", "gateway"])
def test_settings_are_those_that_the_code_reads(objects: list[Manifest], component: str) -> None:
    known = {f"BRAMBLE_{field.name.upper()}" for field in fields(Settings)}
    names = set(environment(objects, component))
    assert names - known == set()
    settings = Settings.read(environment(objects, component))
    assert settings.gateway_url == "https://bramble-gateway.bramble.svc:8443"
    assert settings.images_edge == f"bramble/edge@sha256:{'3' * 64}"


def test_numbers_reach_the_operator(helm: Helm) -> None:
    chosen = render(helm, "operator.settings.leaseSeconds=7", "operator.settings.observeSeconds=0.5", "log.level=DEBUG")
    settings = Settings.read(environment(chosen, "operator"))
    assert (settings.lease_seconds, settings.observe_seconds, settings.log_level) == (7, 0.5, "DEBUG")


def test_quantities_reach_the_operator_however_they_are_written(helm: Helm) -> None:
    step = "jobs.resources.snapshot"
    texts = "500m", "2Gi", "129e6"
    chosen = render(
        helm, f"{step}.limits.cpu={texts[0]}", f"{step}.limits.memory={texts[1]}", f"{step}.limits.ephemeral-storage={texts[2]}"
    )
    found = Settings.read(environment(chosen, "operator")).jobs.resources.snapshot
    assert found is not None
    assert set(found.limits.values()) == set(texts)
    chosen = render(helm, f'--set-json={step}={{"limits": {{"cpu": 0.5, "memory": 2147483648}}}}')
    found = Settings.read(environment(chosen, "operator")).jobs.resources.snapshot
    assert found is not None
    assert found.limits == {"cpu": "0.5", "memory": 2**31}


def test_allowed_networks_of_stores_reach_operator_and_gateway(helm: Helm, objects: list[Manifest]) -> None:
    networks = ("127.0.0.0/8", "10.255.249.1/32", "0.0.0.0/0", "fe80::/10", "::ffff:10.0.0.0/128")
    chosen = render(helm, f"stores.allowedNetworks={{{','.join(networks)}}}")
    for component in ("operator", "gateway"):
        assert Settings.read(environment(chosen, component)).store_networks == tuple(map(ip_network, networks))
        assert Settings.read(environment(objects, component)).store_networks == ()


def test_values_of_a_release_before_them_may_lack_these(helm: Helm) -> None:
    """`helm upgrade --reuse-values` takes the former chart's defaults."""
    rendered = render(helm, "--set-json=jobs=null", "--set-json=stores=null")
    settings = Settings.read(environment(rendered, "operator"))
    assert (settings.store_networks, settings.jobs) == ((), JobDefaults())


def test_the_certificate_is_good_for_the_service_and_signed_by_the_ca(objects: list[Manifest]) -> None:
    leaf = certificate(objects)
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(x509.DNSName)
    assert "bramble-gateway.bramble.svc" in names
    secret = one(objects, "Secret", "bramble-gateway-tls")
    authority = x509.load_pem_x509_certificate(base64.b64decode(secret["data"]["ca.crt"]))
    leaf.verify_directly_issued_by(authority)
    assert "ca.key" not in secret["data"]
    assert isinstance(certificate(objects).public_key(), EllipticCurvePublicKey), (
        "a handshake takes a third of the time that it takes with RSA"
    )


def test_pods_are_replaced_when_the_certificate_is(helm: Helm, objects: list[Manifest]) -> None:
    def checksums(rendered: list[Manifest]) -> set[str]:
        deployments = [one(rendered, "Deployment", f"bramble-{component}") for component in ("operator", "gateway")]
        return {each["spec"]["template"]["metadata"]["annotations"]["checksum/tls"] for each in deployments}

    assert len(checksums(objects)) == 1
    assert checksums(objects) != checksums(render(helm, "gateway.tls.extraNames={gateway.example.org}"))


def test_every_pod_of_ours_pulls_with_the_secrets_given(helm: Helm) -> None:
    rendered = render(helm, "images.pullSecrets[0].name=registry.example.org")
    specs = [one(rendered, "Deployment", f"bramble-{component}")["spec"]["template"]["spec"] for component in ("operator", "gateway")]
    accounts = [one(rendered, "ServiceAccount", name) for name in ("bramble-agent", "bramble-node-setup")]
    for holder in (*specs, *accounts, one(rendered, "Pod", "bramble-reachable")["spec"]):
        assert holder["imagePullSecrets"] == [{"name": "registry.example.org"}]


def test_a_certificate_of_ones_own_replaces_the_charts(helm: Helm) -> None:
    rendered = render(helm, "gateway.tls.existingSecret=mine")
    assert [each for each in rendered if each["kind"] == "Secret"] == []
    for component in ("operator", "gateway"):
        volumes = one(rendered, "Deployment", f"bramble-{component}")["spec"]["template"]["spec"]["volumes"]
        assert "mine" in [each["secret"]["secretName"] for each in volumes if "secret" in each]


def test_no_right_is_a_wildcard_and_secrets_are_read_by_name(objects: list[Manifest]) -> None:
    for role in (each for each in objects if each["kind"] in {"Role", "ClusterRole"}):
        for rule in role["rules"]:
            assert "*" not in [*rule["apiGroups"], *rule["resources"], *rule["verbs"]], role["metadata"]["name"]
            if "secrets" in rule["resources"]:
                assert (rule["verbs"], rule["resourceNames"]) == (["get"], ["bramble-store"])


def test_what_serves_outlives_an_uninstall(objects: list[Manifest]) -> None:
    kept = {each["kind"] for each in objects if each["metadata"].get("annotations", {}).get("helm.sh/resource-policy") == "keep"}
    assert kept >= {"Namespace", "ServiceAccount", "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"}
    crds = [each for each in objects if each["kind"] == "CustomResourceDefinition"]
    assert [each["metadata"]["name"] for each in crds if each["metadata"]["annotations"].get("helm.sh/resource-policy") != "keep"] == []


def test_another_release_name_changes_every_name(helm: Helm) -> None:
    text = helm("template", "other", str(CHART), "--namespace=elsewhere", f"--values={LOCAL_VALUES}", "--set=fullnameOverride=eu")
    settings = next(each for each in yaml.safe_load_all(text) if each and each["kind"] == "ConfigMap")
    assert settings["metadata"] == {**settings["metadata"], "name": "eu-settings", "namespace": "elsewhere"}
    assert settings["data"]["BRAMBLE_GATEWAY_URL"] == "https://eu-gateway.elsewhere.svc:8443"
    assert settings["data"]["BRAMBLE_GATEWAY_SERVICE"] == "eu-gateway"
