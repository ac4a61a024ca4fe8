"""Each setting of Celery by name: what it means here, that it means nothing, or what to use."""

from collections.abc import Mapping
from typing import Any

# Those with a meaning, and what holds where nothing was said.
DEFAULTS: Mapping[str, Any] = {
    "accept_content": ["json"],
    "beat_schedule": {},
    "broker_url": None,
    "enable_utc": True,
    "imports": (),
    "include": (),
    "result_accept_content": None,
    "result_backend": None,
    "result_expires": None,
    "result_serializer": "json",
    "task_always_eager": False,
    "task_annotations": None,
    "task_default_priority": None,
    "task_default_queue": "celery",
    "task_default_rate_limit": None,
    "task_eager_propagates": False,
    "task_ignore_result": False,
    "task_queues": None,
    "task_routes": None,
    "task_serializer": "json",
    "task_soft_time_limit": None,
    "task_time_limit": None,
    "task_track_started": False,
    "timezone": None,
    "worker_concurrency": None,
    "worker_max_tasks_per_child": None,
    "worker_pool": None,
}

# How a broker or a result backend is reached that is not asked any more.
_OF_BACKENDS = """
arangodb_backend_settings azureblockblob_base_path azureblockblob_connection_timeout
azureblockblob_container_name azureblockblob_read_timeout azureblockblob_retry_increment_base
azureblockblob_retry_initial_backoff_sec azureblockblob_retry_max_attempts cache_backend
cache_backend_options cassandra_auth_kwargs cassandra_auth_provider cassandra_bundle_path
cassandra_entry_ttl cassandra_keyspace cassandra_options cassandra_port
cassandra_read_consistency cassandra_servers cassandra_table cassandra_write_consistency
cosmosdbsql_collection_name cosmosdbsql_consistency_level cosmosdbsql_database_name
cosmosdbsql_max_retry_attempts cosmosdbsql_max_retry_wait_time couchbase_backend_settings
database_create_tables_at_setup database_engine_callback database_engine_options
database_short_lived_sessions database_table_names database_table_schemas database_url
elasticsearch_max_retries elasticsearch_retry_on_timeout elasticsearch_save_meta_as_text
elasticsearch_timeout gcs_base_path gcs_bucket gcs_project gcs_ttl mongodb_backend_settings
redis_backend_use_ssl redis_db redis_host redis_max_connections redis_password redis_port
redis_retry_on_timeout redis_socket_connect_timeout redis_socket_keepalive redis_socket_timeout
redis_username result_backend_always_retry result_backend_base_sleep_between_retries_ms
result_backend_max_retries result_backend_max_sleep_between_retries_ms
result_backend_transport_options result_cache_max result_chord_expires result_chord_join_timeout
result_chord_retry_interval result_exchange result_exchange_type result_extended
result_persistent s3_access_key_id s3_base_path s3_bucket s3_endpoint_url s3_region
s3_secret_access_key
"""
_OF_BROKERS = """
broker_channel_error_retry broker_connection_max_retries broker_connection_retry
broker_connection_retry_on_startup broker_connection_timeout broker_failover_strategy
broker_heartbeat broker_heartbeat_checkrate broker_host broker_login_method
broker_native_delayed_delivery_queue_type broker_password broker_pool_acquire_timeout
broker_pool_limit broker_port broker_read_url broker_transport broker_transport_options
broker_use_ssl broker_user broker_vhost broker_write_url control_exchange control_queue_durable
control_queue_exclusive control_queue_expires control_queue_ttl event_exchange
event_queue_durable event_queue_exclusive event_queue_expires event_queue_prefix event_queue_ttl
event_serializer task_create_missing_queue_exchange_type task_create_missing_queue_type
task_create_missing_queues task_default_delivery_mode task_default_exchange
task_default_exchange_type task_default_queue_type task_default_routing_key task_protocol
task_publish_retry task_publish_retry_policy task_queue_max_priority task_send_sent_event
worker_cancel_long_running_tasks_on_connection_loss worker_deduplicate_successful_tasks
worker_detect_quorum_queues worker_disable_prefetch worker_enable_prefetch_count_reduction
worker_enable_remote_control worker_eta_task_limit worker_prefetch_multiplier
worker_send_task_events worker_state_db
"""
# What always holds here: an outcome is written before a job is let go, and a lost worker's jobs
# go to another one.
_OF_ACKS = """
task_acks_late task_acks_on_failure task_acks_on_failure_or_timeout task_acks_on_timeout
task_reject_on_worker_lost task_store_errors_even_if_ignored
"""
_OF_TUNING = """
beat_max_loop_interval beat_schedule_filename beat_sync_every task_repr_maxlevels
worker_lost_wait worker_pool_putlocks worker_pool_start_method worker_proc_alive_timeout
worker_timer worker_timer_precision
"""
HARMLESS = frozenset((_OF_BACKENDS + _OF_BROKERS + _OF_ACKS + _OF_TUNING).split())

_LOGGING = "logging of the worker's process as you configure it"
REFUSED: Mapping[str, str] = {
    "beat_cron_starting_deadline": "grace=… of a windlass.Schedule",
    "beat_enable_remote_control": "windlass schedules --help",
    "beat_remote_control_max_tick_age": "windlass schedules --help",
    "beat_scheduler": "windlass worker --scheduler",
    "result_compression": "the setting large_results",
    "result_failure_expires": "the setting retention_s",
    "security_cert_store": "access to the store",
    "security_certificate": "access to the store",
    "security_digest": "access to the store",
    "security_key": "access to the store",
    "security_key_password": "access to the store",
    "task_allow_error_cb_on_chord_header": "link_error of the tasks in the header",
    "task_compression": "a reference to large data in place of it",
    "task_inherit_parent_priority": "priority=… of each call",
    "task_remote_tracebacks": "the cause of each exception, which is there without it",
    "task_retry_on_worker_lost": "nothing: a lost worker's jobs go to another, three times at most",
    "task_store_eager_result": "delay() in place of apply()",
    "worker_agent": "windlass.App.run_worker",
    "worker_autoscaler": "windlass worker --processes MIN:MAX",
    "worker_consumer": "windlass.App.run_worker",
    "worker_direct": "a queue for each worker: windlass worker --queues",
    "worker_disable_rate_limits": "rate_limit=None of the tasks",
    "worker_enable_soft_shutdown_on_idle": "the setting shutdown_timeout_s",
    "worker_hijack_root_logger": _LOGGING,
    "worker_log_color": _LOGGING,
    "worker_log_datefmt": _LOGGING,
    "worker_log_format": _LOGGING,
    "worker_max_memory_per_child": "memory_limit=… of a task of Windlass, or recycle_above_bytes",
    "worker_pool_restarts": "restart the worker",
    "worker_redirect_stdouts": _LOGGING,
    "worker_redirect_stdouts_level": _LOGGING,
    "worker_soft_shutdown_timeout": "the setting shutdown_timeout_s",
    "worker_task_log_datefmt": _LOGGING,
    "worker_task_log_format": _LOGGING,
}
