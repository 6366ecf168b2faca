"""The fleet file's own form: what may be written, with the checks that need one value only."""

from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from healthd.config.argv import Argv
from healthd.config.fields import Address, Host, Name, Port, SecretCommand, Text, Variable
from healthd.config.freezes import MAX_FREEZES, FreezeModel
from healthd.config.oauth import OAuthModel
from healthd.config.policies import MAX_POLICIES, PolicyModel
from healthd.config.profiles import MAX_PROFILES, ClientsModel, ProfileModel, RoutingModel
from healthd.config.schema import FileModel, refusal
from healthd.config.source_alerts import AlertsModel
from healthd.config.source_connect import ConnectModel
from healthd.config.source_cruise_control import CruiseControlModel
from healthd.config.source_mirrors import MirrorModel
from healthd.config.source_probe import ProbeModel
from healthd.config.source_prometheus import PrometheusModel, PrometheusUseModel
from healthd.config.source_registry import RegistryModel
from healthd.config.source_zookeeper import ZookeeperModel
from healthd.config.ssh_access import SshModel
from healthd.waves.spec import MAX_ID

NOT_BUILT_MECHANISMS: Final = frozenset({"GSSAPI", "AWS_MSK_IAM"})
MAX_TENANTS: Final = 100
MAX_TENANT_PATTERNS: Final = 50


def _checked_mechanism(value: Any) -> Any:
    if isinstance(value, str) and value.upper() in NOT_BUILT_MECHANISMS:
        raise refusal(
            f"{value.upper()} is not built yet",
            "use PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER",
        )
    return value


def _checked_path(text: str) -> str:
    if not text.startswith("/"):
        raise refusal("must begin with a slash", "write /metrics")
    return text


Mechanism = Annotated[
    Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"],
    BeforeValidator(_checked_mechanism),
]


class SecurityModel(FileModel):
    """`security` of a cluster."""

    protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    ca_file: Text | None = None
    cert_file: Text | None = None
    key_file: Text | None = None
    key_password_file: Text | None = None
    key_password_env: Variable | None = None
    key_password_command: SecretCommand | None = None
    sasl_mechanism: Mechanism | None = None
    username: Text | None = None
    password_file: Text | None = None
    password_env: Variable | None = None
    password_command: SecretCommand | None = None
    oauth: OAuthModel | None = None


class ExporterModel(FileModel):
    """`exporter` of a cluster."""

    port: Port | None = None
    path: Annotated[str, AfterValidator(_checked_path)] = "/metrics"


class ServiceModel(FileModel):
    """`service` of a cluster: argv templates."""

    stop: Argv
    start: Argv
    status: Argv
    logs: Argv | None = None
    identity: Argv | None = None


class HostModel(FileModel):
    """One item of `hosts`."""

    broker: Annotated[int, Field(ge=0, le=MAX_ID)]
    address: Host
    ssh_port: Port | None = None
    rack: Text | None = None
    exporter: Address | None = None
    labels: dict[str, str] = Field(default_factory=dict)
    variables: Any = Field(default_factory=dict)


class WaveModel(FileModel):
    """`wave` of a cluster; the policy is read by `healthd.waves.policy`."""

    policy: Any = Field(default_factory=dict)


class TenantModel(FileModel):
    """One item of `tenants`."""

    name: Name
    topics: Annotated[list[Text], Field(min_length=1, max_length=MAX_TENANT_PATTERNS)]


class ClusterModel(FileModel):
    """One item of `clusters`."""

    name: Name
    bootstrap_servers: Annotated[list[Address], Field(min_length=1)]
    labels: dict[str, str] = Field(default_factory=dict)
    security: SecurityModel = Field(default_factory=SecurityModel)
    exporter: ExporterModel | None = None
    ssh: SshModel | None = None
    local: bool = False
    service: ServiceModel | None = None
    tolerate: Literal["rack"] | None = None
    log_dirs: bool | None = None
    probe: ProbeModel | None = None
    hosts: list[HostModel] = Field(default_factory=list)
    connect: list[ConnectModel] = Field(default_factory=list)
    mirrors: list[MirrorModel] = Field(default_factory=list)
    schema_registry: RegistryModel | None = None
    prometheus: PrometheusUseModel | None = None
    zookeeper: ZookeeperModel | None = None
    alerts: AlertsModel | None = None
    cruise_control: CruiseControlModel | None = None
    scoring_profile: Text | None = None
    clients: ClientsModel | None = None
    tenants: list[TenantModel] = Field(default_factory=list, max_length=MAX_TENANTS)
    variables: Any = Field(default_factory=dict)
    wave: WaveModel = Field(default_factory=WaveModel)


class FleetModel(FileModel):
    """The top of a fleet file; each cluster is validated by itself, to report all of them."""

    api_version: Literal["healthd/v1"]
    kind: Literal["Fleet"]
    clusters: list[Any] | None = None
    scoring_profile: Text | None = None
    profiles: list[ProfileModel] = Field(default_factory=list, max_length=MAX_PROFILES)
    routing: RoutingModel = Field(default_factory=RoutingModel)
    canary: list[Address] = Field(default_factory=list)
    prometheus: list[PrometheusModel] = Field(default_factory=list)
    alerts: AlertsModel | None = None
    policies: list[PolicyModel] = Field(default_factory=list, max_length=MAX_POLICIES)
    freezes: list[FreezeModel] = Field(default_factory=list, max_length=MAX_FREEZES)
