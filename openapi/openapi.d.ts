export interface paths {
    "/api/v1/audit/events": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * List audit events
         * @description A page of events, newest first by default. Follow `next` for more pages; stream from `live_cursor` for new events.
         */
        get: operations["listEvents"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/audit/events/search": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Search audit events
         * @description Like the list, and filtered by `text`. Kubiya's pages are scanned until the page is full or the scan limit is reached; `search_summary` tells how far the scan went.
         */
        get: operations["searchEvents"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/audit/events/{id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Describe an audit event
         * @description One event by its `id`, percent-encoded: `a/b` is `a%2Fb`. A computed id is found at any age. Kubiya is asked for any other id, and then the last seven days are scanned. An id that contains `/`, `\`, `%`, `?` or `#` is looked up in the live log instead of asking Kubiya for it.
         */
        get: operations["describeEvent"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/audit/sessions/{id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Read one session as a conversation
         * @description The events of one session, oldest first and of any age, with what each of them says. `session` has the figures of all its events, whatever the filter; `coverage` tells how many of them were counted.
         */
        get: operations["readSession"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/audit/summary": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Summarize audit events
         * @description Totals, success rate, users and sessions of a window, and the most frequent values of each field. The events of the last `AGGREGATE_HOURS` are counted in memory. `coverage` tells what was counted.
         */
        get: operations["getSummary"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/audit/timeline": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Count audit events over time
         * @description The events of each bucket of a window, empty buckets included. Buckets are multiples of their width since 1970. The events of the last `AGGREGATE_HOURS` are counted in memory. `coverage` tells what was counted.
         */
        get: operations["getTimeline"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/audit/facets": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Count the values of fields
         * @description The values of each field with counts, under all filters but that of the field itself. The events of the last `AGGREGATE_HOURS` are counted in memory. `coverage` tells what was counted.
         */
        get: operations["getFacets"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/audit/sessions": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * List sessions
         * @description Sessions with at least one matching event. The figures of a session are of all its events in the window. The events of the last `AGGREGATE_HOURS` are counted in memory. `coverage` tells what was counted.
         */
        get: operations["listSessions"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/audit/export": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Export audit events
         * @description All events of a query as one file, oldest first by default. An export that could not read everything says so at its end, with a cursor that continues exactly there. A caller has one export at a time.
         */
        get: operations["exportEvents"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/audit/export/tickets": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Create a ticket for an export
         * @description A ticket replaces the caller's credential in the link of a download. It is valid for one export with the same parameters, for 30 seconds. The request has no body.
         */
        post: operations["createExportTicket"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/audit/stream": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Follow audit events live
         * @description A WebSocket (subprotocol `kubiya-audit.v1`, or none) of JSON text messages, or Server-Sent Events with the same JSON as `data`: `hello`, then `event`, `gap`, `status`, `heartbeat`, and `end` as the last. Clients send control frames only.
         */
        get: operations["streamEvents"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/audit/stream/tickets": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Create a ticket for a stream
         * @description A ticket replaces the caller's credential where a page cannot send it. It is valid for one stream, for 30 seconds, and for the page's own origin. The request has no body.
         */
        post: operations["createStreamTicket"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/auditing/items": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * List audit events as Kubiya's own API does
         * @description For programs that speak the API of Kubiya. The answer is a bare array. A page is short only at the end, except that a search ends at the scan limit, with `x-scan-complete: false`.
         */
        get: operations["listKubiyaItems"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/auditing/items/{id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Describe an audit event as Kubiya's own API does
         * @description One event by its `id`, percent-encoded.
         */
        get: operations["getKubiyaItem"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/livez": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Liveness probe */
        get: operations["livez"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/readyz": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Readiness probe */
        get: operations["readyz"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/metrics": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Metrics for Prometheus
         * @description Text in the exposition format of Prometheus. With `METRICS_PORT`, that port serves it instead of this one.
         */
        get: operations["metrics"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
}
export type webhooks = Record<string, never>;
export interface components {
    schemas: {
        /** @description An audit event: the item as Kubiya sent it, with `id` always set. Other fields may be present. */
        AuditEvent: {
            /**
             * @description Identifies the event in every response and stream. It is Kubiya's own id if that is usable. Otherwise it is computed from the event's timestamp and content. At most 200 UTF-16 code units of any script; percent-encode it in a path.
             * @example kab1.1748942047218334000.kJ0mZ1m7w2cYH6cXGk1zZQ
             */
            id: string;
            /**
             * @description When the event happened: RFC 3339, 0–9 fraction digits, any offset. Without an offset it is UTC.
             * @example 2025-06-03T09:14:07.218334Z
             */
            timestamp?: unknown;
            /**
             * @description The organisation.
             * @example acme
             */
            org?: unknown;
            /**
             * @description The acting user. May be empty.
             * @example user1@acme.test
             */
            email?: unknown;
            /**
             * @description Version of the item's format, as Kubiya sends it.
             * @example 1
             */
            version?: unknown;
            /**
             * @description Kind of the actor.
             * @example agents
             */
            category_type?: unknown;
            /**
             * @description Name of the actor, for example of an agent.
             * @example DevOps Helper
             */
            category_name?: unknown;
            /**
             * @description Kind of the resource that was acted on.
             * @example Tool Execution
             */
            resource_type?: unknown;
            /**
             * @description Message text, tool output or a name. May be long.
             * @example deployment.apps/billing restarted
             */
            resource_text?: unknown;
            /**
             * @description The action.
             * @example executed
             */
            action_type?: unknown;
            /**
             * @description Whether the action succeeded. Missing or null means unknown.
             * @example true
             */
            action_successful?: unknown;
            /**
             * @description Further data, which depends on the kind of event; usually with `session_id`.
             * @example {
             *       "session_id": "5b0c1c7e-6c1d-4d0e-9a64-0f6f5d2f8a11",
             *       "tool_name": "kubectl_restart"
             *     }
             */
            extra?: unknown;
            /**
             * @description Kubiya's own scope of the event, if present.
             * @example org
             */
            scope?: unknown;
            /**
             * @description Kubiya's `id`, if it cannot be used as the event's id. The name is `upstream_id_2` (and so on) if the event already has a field `upstream_id`.
             * @example ../x
             */
            upstream_id?: unknown;
        } & {
            [key: string]: unknown;
        };
        /** @description A page of audit events. */
        EventPage: {
            items: components["schemas"]["AuditEvent"][];
            /** @description The position of this page. */
            pagination: {
                /**
                 * @description Number of this page, from 1.
                 * @example 1
                 */
                page: number;
                /**
                 * @description Largest number of items on a page.
                 * @example 50
                 */
                page_size: number;
                /**
                 * @description Whether there may be another page. It may turn out to be empty.
                 * @example true
                 */
                has_more: boolean;
                /**
                 * @description URL of the next page. Following it returns every event that was visible when the first page was read, exactly once.
                 * @example /api/v1/audit/events?cursor=1.WyJw…
                 */
                next: string | null;
                /**
                 * @description Only the parameter `cursor` of the next page, for clients that build the URL.
                 * @example 1.WyJw…
                 */
                next_cursor: string | null;
                /** @description Number of events scanned for this page. Set if rows were filtered here, so that pages count matches. */
                scanned?: number;
                /** @description False if the scan limit or the request budget ended the page early; `next` continues from there. */
                complete?: boolean;
                /** @description Ranges with events that could not be read. Missing if there are none. */
                skipped?: {
                    /** @description Start of the interval, usable as `start_time`. */
                    from: string;
                    /** @description End of the interval, usable as `end_time`. */
                    to: string;
                    /** @description As in a stream's `gap`. */
                    reason: "too-large" | "upstream-outage";
                }[];
            };
            /** @description The window that was read. */
            window: {
                /**
                 * @description Lower bound, inclusive; null: none.
                 * @example 2025-06-03T00:00:00Z
                 */
                start_time: string | null;
                /**
                 * @description Upper bound, inclusive; null: none.
                 * @example 2025-06-03T00:00:00Z
                 */
                end_time: string | null;
            };
            /** @description Position of the live log before Kubiya was asked: `GET /api/v1/audit/stream?since=…` continues from here without a gap. Set on first pages of windows that are still open; also in the header `x-live-cursor`. */
            live_cursor?: string;
        };
        /** @description A page of matches. */
        SearchPage: {
            items: components["schemas"]["AuditEvent"][];
            /** @description The position of this page. */
            pagination: {
                /**
                 * @description Number of this page, from 1.
                 * @example 1
                 */
                page: number;
                /**
                 * @description Largest number of items on a page.
                 * @example 50
                 */
                page_size: number;
                /**
                 * @description Whether there may be another page. It may turn out to be empty.
                 * @example true
                 */
                has_more: boolean;
                /**
                 * @description URL of the next page. Following it returns every event that was visible when the first page was read, exactly once.
                 * @example /api/v1/audit/events?cursor=1.WyJw…
                 */
                next: string | null;
                /**
                 * @description Only the parameter `cursor` of the next page, for clients that build the URL.
                 * @example 1.WyJw…
                 */
                next_cursor: string | null;
                /** @description Number of events scanned for this page. Set if rows were filtered here, so that pages count matches. */
                scanned?: number;
                /** @description False if the scan limit or the request budget ended the page early; `next` continues from there. */
                complete?: boolean;
                /** @description Ranges with events that could not be read. Missing if there are none. */
                skipped?: {
                    /** @description Start of the interval, usable as `start_time`. */
                    from: string;
                    /** @description End of the interval, usable as `end_time`. */
                    to: string;
                    /** @description As in a stream's `gap`. */
                    reason: "too-large" | "upstream-outage";
                }[];
            };
            /** @description The window that was read. */
            window: {
                /**
                 * @description Lower bound, inclusive; null: none.
                 * @example 2025-06-03T00:00:00Z
                 */
                start_time: string | null;
                /**
                 * @description Upper bound, inclusive; null: none.
                 * @example 2025-06-03T00:00:00Z
                 */
                end_time: string | null;
            };
            /** @description Position of the live log before Kubiya was asked: `GET /api/v1/audit/stream?since=…` continues from here without a gap. Set on first pages of windows that are still open; also in the header `x-live-cursor`. */
            live_cursor?: string;
            /** @description What was searched, and how far. */
            search_summary: {
                /** @description The requested text. */
                text: string | null;
                /** @description The requested status. */
                status: string | null;
                /** @description The requested category. */
                category_type: string | null;
                time_range: {
                    /**
                     * @description As in `window`.
                     * @example 2025-06-03T00:00:00Z
                     */
                    start: string | null;
                    /**
                     * @description As in `window`.
                     * @example 2025-06-03T00:00:00Z
                     */
                    end: string | null;
                };
                /** @description Number of events scanned for this page. */
                scanned: number;
                /** @description False if the scan limit or the request budget ended the page early; `next` continues from there. */
                complete: boolean;
            };
        };
        /** @description Counts of the events of a window. */
        Summary: {
            /** @description The window that was read. */
            window: {
                /**
                 * @description Lower bound, inclusive; null: none.
                 * @example 2025-06-03T00:00:00Z
                 */
                start_time: string | null;
                /**
                 * @description Upper bound, inclusive; null: none.
                 * @example 2025-06-03T00:00:00Z
                 */
                end_time: string | null;
            };
            coverage: components["schemas"]["Coverage"];
            totals: {
                /** @description Number of events. */
                events: number;
                /** @description Events whose `action_successful` is true. */
                success: number;
                /** @description Events whose `action_successful` is false. */
                failed: number;
                /** @description Events whose `action_successful` is missing, null or no boolean. */
                unknown: number;
                /** @description `success` ÷ (`success` + `failed`), from 0 to 1; null: neither is known. */
                success_rate: number | null;
                /** @description Number of different `email`s. */
                users: number;
                /** @description Number of different sessions. */
                sessions: number;
                /** @description Events without a readable timestamp. They are counted here, and in no bucket. */
                undated: number;
            };
            /** @description Counts for each value of a field. */
            by: {
                category_type: {
                    /** @description The most frequent values: by number of events, then by value. */
                    values: {
                        value: string;
                        /** @description Number of events. */
                        events: number;
                        /** @description Events whose `action_successful` is true. */
                        success: number;
                        /** @description Events whose `action_successful` is false. */
                        failed: number;
                        /** @description Events whose `action_successful` is missing, null or no boolean. */
                        unknown: number;
                    }[];
                    /** @description Number of different values. */
                    distinct: number;
                    /** @description Events with a value that is not listed. */
                    other_events: number;
                    /** @description Events without a value, or with an empty one. */
                    missing_events: number;
                };
                category_name: {
                    /** @description The most frequent values: by number of events, then by value. */
                    values: {
                        value: string;
                        /** @description Number of events. */
                        events: number;
                        /** @description Events whose `action_successful` is true. */
                        success: number;
                        /** @description Events whose `action_successful` is false. */
                        failed: number;
                        /** @description Events whose `action_successful` is missing, null or no boolean. */
                        unknown: number;
                    }[];
                    /** @description Number of different values. */
                    distinct: number;
                    /** @description Events with a value that is not listed. */
                    other_events: number;
                    /** @description Events without a value, or with an empty one. */
                    missing_events: number;
                };
                resource_type: {
                    /** @description The most frequent values: by number of events, then by value. */
                    values: {
                        value: string;
                        /** @description Number of events. */
                        events: number;
                        /** @description Events whose `action_successful` is true. */
                        success: number;
                        /** @description Events whose `action_successful` is false. */
                        failed: number;
                        /** @description Events whose `action_successful` is missing, null or no boolean. */
                        unknown: number;
                    }[];
                    /** @description Number of different values. */
                    distinct: number;
                    /** @description Events with a value that is not listed. */
                    other_events: number;
                    /** @description Events without a value, or with an empty one. */
                    missing_events: number;
                };
                action_type: {
                    /** @description The most frequent values: by number of events, then by value. */
                    values: {
                        value: string;
                        /** @description Number of events. */
                        events: number;
                        /** @description Events whose `action_successful` is true. */
                        success: number;
                        /** @description Events whose `action_successful` is false. */
                        failed: number;
                        /** @description Events whose `action_successful` is missing, null or no boolean. */
                        unknown: number;
                    }[];
                    /** @description Number of different values. */
                    distinct: number;
                    /** @description Events with a value that is not listed. */
                    other_events: number;
                    /** @description Events without a value, or with an empty one. */
                    missing_events: number;
                };
                status: {
                    /** @description The most frequent values: by number of events, then by value. */
                    values: {
                        value: string;
                        /** @description Number of events. */
                        events: number;
                        /** @description Events whose `action_successful` is true. */
                        success: number;
                        /** @description Events whose `action_successful` is false. */
                        failed: number;
                        /** @description Events whose `action_successful` is missing, null or no boolean. */
                        unknown: number;
                    }[];
                    /** @description Number of different values. */
                    distinct: number;
                    /** @description Events with a value that is not listed. */
                    other_events: number;
                    /** @description Events without a value, or with an empty one. */
                    missing_events: number;
                };
                email: {
                    /** @description The most frequent values: by number of events, then by value. */
                    values: {
                        value: string;
                        /** @description Number of events. */
                        events: number;
                        /** @description Events whose `action_successful` is true. */
                        success: number;
                        /** @description Events whose `action_successful` is false. */
                        failed: number;
                        /** @description Events whose `action_successful` is missing, null or no boolean. */
                        unknown: number;
                    }[];
                    /** @description Number of different values. */
                    distinct: number;
                    /** @description Events with a value that is not listed. */
                    other_events: number;
                    /** @description Events without a value, or with an empty one. */
                    missing_events: number;
                };
                tool_name: {
                    /** @description The most frequent values: by number of events, then by value. */
                    values: {
                        value: string;
                        /** @description Number of events. */
                        events: number;
                        /** @description Events whose `action_successful` is true. */
                        success: number;
                        /** @description Events whose `action_successful` is false. */
                        failed: number;
                        /** @description Events whose `action_successful` is missing, null or no boolean. */
                        unknown: number;
                    }[];
                    /** @description Number of different values. */
                    distinct: number;
                    /** @description Events with a value that is not listed. */
                    other_events: number;
                    /** @description Events without a value, or with an empty one. */
                    missing_events: number;
                };
            };
            sessions: {
                /** @description Number of sessions. */
                count: number;
                /** @description Events that belong to no session. */
                events_without_session: number;
                /** @description Events of one session. */
                events_per_session: {
                    /** @description Mean. */
                    mean: number | null;
                    /** @description Median. */
                    median: number | null;
                    /** @description 95th percentile: nearest rank. */
                    p95: number | null;
                    /** @description Maximum. */
                    max: number | null;
                };
                /** @description Seconds from the first event of a session to its last one. */
                duration_seconds: {
                    /** @description Median. */
                    median: number | null;
                    /** @description 95th percentile: nearest rank. */
                    p95: number | null;
                    /** @description Maximum. */
                    max: number | null;
                };
            };
            /** @description Instant of the oldest event that was counted. */
            first_event: string | null;
            /** @description Instant of the newest event that was counted. */
            last_event: string | null;
            /**
             * @description Set if values were too many or too long to be told apart. Numbers of values are then lower bounds.
             * @enum {boolean}
             */
            capped?: true;
        };
        /** @description Counts of events over time. */
        Timeline: {
            /** @description The window that was read. */
            window: {
                /**
                 * @description Lower bound, inclusive; null: none.
                 * @example 2025-06-03T00:00:00Z
                 */
                start_time: string | null;
                /**
                 * @description Upper bound, inclusive; null: none.
                 * @example 2025-06-03T00:00:00Z
                 */
                end_time: string | null;
            };
            coverage: components["schemas"]["Coverage"];
            /** @description Width of each bucket. */
            interval_seconds: number;
            /** @description The field whose values are the series, or `none`. */
            by: string;
            series: {
                /** @description The value; empty for all values that have no series of their own. */
                value: string;
                /** @description Events of the series. */
                events: number;
            }[];
            /** @description All buckets of the window, empty ones included. */
            buckets: {
                /** @description Start of the bucket, included. */
                start_time: string;
                /** @description End of the bucket, excluded. */
                end_time: string;
                /** @description Events in the bucket. */
                events: number;
                /** @description Events of each series, in the order of `series`. */
                counts: number[];
                /** @description True if the bucket reaches beyond the window. */
                partial?: boolean;
            }[];
            /**
             * @description Set if values were too many or too long to be told apart. Numbers of values are then lower bounds.
             * @enum {boolean}
             */
            capped?: true;
        };
        /** @description The values of fields, with counts. */
        Facets: {
            /** @description The window that was read. */
            window: {
                /**
                 * @description Lower bound, inclusive; null: none.
                 * @example 2025-06-03T00:00:00Z
                 */
                start_time: string | null;
                /**
                 * @description Upper bound, inclusive; null: none.
                 * @example 2025-06-03T00:00:00Z
                 */
                end_time: string | null;
            };
            coverage: components["schemas"]["Coverage"];
            /** @description Counts for each value of a field, under all filters but that of the field itself. */
            facets: {
                /** @description Name of the field, as in the filter. */
                field: string;
                /** @description The most frequent values: by number of events, then by value. */
                values: {
                    value: string;
                    /** @description Number of events. */
                    events: number;
                    /** @description Events whose `action_successful` is true. */
                    success: number;
                    /** @description Events whose `action_successful` is false. */
                    failed: number;
                    /** @description Events whose `action_successful` is missing, null or no boolean. */
                    unknown: number;
                }[];
                /** @description Number of different values. */
                distinct: number;
                /** @description Events with a value that is not listed. */
                other_events: number;
                /** @description Events without a value, or with an empty one. */
                missing_events: number;
            }[];
            /**
             * @description Set if values were too many or too long to be told apart. Numbers of values are then lower bounds.
             * @enum {boolean}
             */
            capped?: true;
        };
        /** @description The figures of one session, over all its events in the window. */
        Session: {
            /** @description `extra.session_id` of its events, otherwise `session_id`. */
            id: string;
            start_time: string | null;
            end_time: string | null;
            duration_seconds: number | null;
            /** @description All its events. */
            events: number;
            /** @description Events that succeeded. */
            success: number;
            /** @description Events that failed. */
            failed: number;
            /** @description Events without an outcome. */
            unknown: number;
            /**
             * @description By the newest event that has an outcome. `recovered`: it succeeded, and another one failed before.
             * @enum {string}
             */
            outcome: "success" | "failed" | "recovered" | "unknown";
            title: string | null;
            /**
             * @description What began the session, by the category of its first event.
             * @enum {string}
             */
            trigger: "webhook" | "slack" | "api" | "conversation";
            /** @description The user with most messages first. */
            users: {
                email: string;
                /** @description Events of this user. */
                events: number;
                /** @description Messages that this user wrote. */
                messages: number;
            }[];
            agents: {
                name: string;
                /** @description Events of this agent. */
                events: number;
            }[];
            tools: {
                name: string;
                /** @description Events of this tool. */
                events: number;
                /** @description Those that failed. */
                failed: number;
            }[];
            categories: {
                /** @description A `category_type`. */
                value: string;
                /** @description Events of this category. */
                events: number;
            }[];
            /** @description Whether its last event is less than five minutes older than `as_of`. */
            is_open: boolean;
            /** @description Whether earlier events may lie before the window: one is known, or the first event is less than five minutes after the start of the window. */
            may_have_begun_earlier: boolean;
        };
        /** @description Sessions with their figures. */
        SessionPage: {
            items: components["schemas"]["Session"][];
            pagination: {
                /** @description Largest number of sessions on a page. */
                page_size: number;
                /** @description Whether there is another page. */
                has_more: boolean;
                /** @description Number of sessions on all pages. */
                total: number;
                /** @description URL of the next page. Following it gives each session that was there at the first page, once. */
                next: string | null;
            };
            /** @description Matching events that belong to no session. */
            unassigned_events: number;
            /**
             * @description Set if values were too many or too long to be told apart. Numbers of values are then lower bounds.
             * @enum {boolean}
             */
            capped?: true;
            /** @description The window that was read. */
            window: {
                /**
                 * @description Lower bound, inclusive; null: none.
                 * @example 2025-06-03T00:00:00Z
                 */
                start_time: string | null;
                /**
                 * @description Upper bound, inclusive; null: none.
                 * @example 2025-06-03T00:00:00Z
                 */
                end_time: string | null;
            };
            coverage: components["schemas"]["Coverage"];
        };
        /** @description What was really counted, the newest part first. */
        Coverage: {
            /** @description Whether every event of the window was counted. False: `start_time` says how far the count went. */
            complete: boolean;
            /** @description Events that were looked at for this answer. */
            scanned: number;
            start_time: string | null;
            end_time: string | null;
            /** @description When the last good poll of Kubiya began, by Kubiya's clock. */
            as_of: string;
            /** @description Seconds after which the same request will have counted more. */
            retry_after?: number;
            /** @description Intervals with events that could not be read. Missing if there are none. */
            skipped?: {
                from: string;
                to: string;
            }[];
        };
        /** @description One session: its figures, and a page of its events as a conversation. */
        ConversationPage: {
            session: components["schemas"]["Session"];
            /** @description Oldest first. Everything but `event` is derived from it. */
            entries: {
                /**
                 * @description What the entry is in a conversation.
                 * @enum {string}
                 */
                kind: "user_message" | "agent_message" | "tool_call" | "tool_output" | "webhook" | "trigger" | "ai" | "system";
                /** @description Who speaks: an agent, otherwise the email of a user. */
                actor: string | null;
                /** @description The agent that takes part. */
                agent: string | null;
                /** @description The tool that is called or that answers. */
                tool: string | null;
                /** @description The text without the wrapper in which Kubiya logs it. Never cut. */
                text: string;
                /** @description Whether the entry repeats a tool call as a message. */
                hidden: boolean;
                event: components["schemas"]["AuditEvent"];
            }[];
            /** @description The position of this page. */
            pagination: {
                /**
                 * @description Number of this page, from 1.
                 * @example 1
                 */
                page: number;
                /**
                 * @description Largest number of items on a page.
                 * @example 50
                 */
                page_size: number;
                /**
                 * @description Whether there may be another page. It may turn out to be empty.
                 * @example true
                 */
                has_more: boolean;
                /**
                 * @description URL of the next page. Following it returns every event that was visible when the first page was read, exactly once.
                 * @example /api/v1/audit/events?cursor=1.WyJw…
                 */
                next: string | null;
                /**
                 * @description Only the parameter `cursor` of the next page, for clients that build the URL.
                 * @example 1.WyJw…
                 */
                next_cursor: string | null;
                /** @description Number of events scanned for this page. Set if rows were filtered here, so that pages count matches. */
                scanned?: number;
                /** @description False if the scan limit or the request budget ended the page early; `next` continues from there. */
                complete?: boolean;
                /** @description Ranges with events that could not be read. Missing if there are none. */
                skipped?: {
                    /** @description Start of the interval, usable as `start_time`. */
                    from: string;
                    /** @description End of the interval, usable as `end_time`. */
                    to: string;
                    /** @description As in a stream's `gap`. */
                    reason: "too-large" | "upstream-outage";
                }[];
            };
            coverage: components["schemas"]["Coverage"];
        };
        /** @description A page of events. */
        KubiyaItems: components["schemas"]["AuditEvent"][];
        /** @description An error (RFC 9457). */
        Problem: {
            /**
             * @description URN of the kind of problem. It ends in the code.
             * @example urn:kubiya-audit-bff:problem:invalid-parameter
             */
            type: string;
            /**
             * @description The kind of problem, in words.
             * @example Invalid parameter
             */
            title: string;
            /**
             * @description The HTTP status.
             * @example 400
             */
            status: number;
            /**
             * @description What happened in this request.
             * @example page: must be >= 1
             */
            detail: string;
            /**
             * @description The kind of problem, for programs.
             * @example invalid-parameter
             */
            code: string;
            /**
             * @description The request's id in the logs.
             * @example req-4f1c2a
             */
            request_id: string;
            /** @description All invalid parameters of the request. */
            errors?: {
                /**
                 * @description Name of the parameter.
                 * @example page
                 */
                parameter: string;
                /**
                 * @description What is wrong with its value.
                 * @example must be >= 1
                 */
                message: string;
            }[];
            /** @description Seconds to wait, as in the header `Retry-After`. */
            retry_after?: number;
            /** @description Of a describe that found nothing: the interval that was searched. */
            window?: {
                start_time: string;
                end_time: string;
            };
            /** @description Of a describe that found nothing: the number of events that were read. */
            scanned?: number;
            /** @description Of a describe that found nothing: whether that was every event of the interval. */
            complete?: boolean;
        };
        /** @description An error in Kubiya's form. */
        KubiyaError: {
            /**
             * @description The kind of error, in words.
             * @example Invalid parameter
             */
            error: string;
            /**
             * @description What happened in this request.
             * @example filter.x: is not a known key
             */
            details: string;
            /**
             * @description The kind of error, for programs.
             * @enum {string}
             */
            errorCode: "INVALID_PARAMETER" | "AUTH_REQUIRED" | "FORBIDDEN" | "NOT_FOUND" | "RATE_LIMITED" | "INTERNAL" | "UPSTREAM_UNAUTHORIZED" | "UPSTREAM_INVALID" | "UPSTREAM_UNAVAILABLE" | "OVERLOADED" | "UPSTREAM_TIMEOUT" | "INVALID_API_KEY" | "INSUFFICIENT_SCOPE";
            /**
             * @description The HTTP status.
             * @example 400
             */
            status: number;
            /** @description Seconds to wait. The header `Retry-After` is at most 2. */
            retryAfter?: number;
            /**
             * @description The request's id in the logs.
             * @example req-4f1c2a
             */
            request_id: string;
        };
    };
    responses: never;
    parameters: never;
    requestBodies: never;
    headers: never;
    pathItems: never;
}
export type $defs = Record<string, never>;
export interface operations {
    listEvents: {
        parameters: {
            query?: {
                /**
                 * @description Only events whose `category_type` is exactly this.
                 * @example agents
                 */
                category_type?: string;
                /**
                 * @description Only events whose `category_name` is exactly this.
                 * @example my-agent
                 */
                category_name?: string;
                /**
                 * @description Only events whose `resource_type` is exactly this.
                 * @example agent
                 */
                resource_type?: string;
                /**
                 * @description Only events whose `action_type` is exactly this.
                 * @example invoke
                 */
                action_type?: string;
                /**
                 * @description Only events of this session: `extra.session_id` or `session_id`.
                 * @example session-123
                 */
                session_id?: string;
                /**
                 * @description Only events whose `email` is exactly this.
                 * @example user1@acme.test
                 */
                email?: string;
                /**
                 * @description Only events whose `extra.tool_name` is exactly this.
                 * @example kubectl_restart
                 */
                tool_name?: string;
                /** @description Only events whose `action_successful` is true (`success`) or false (`failed`). A missing or null value is neither. */
                status?: "success" | "failed";
                /**
                 * @description Lower bound, inclusive; default 24 h before the end, with `session_id` none. RFC 3339, or relative: `-90s`, `-15m`, `-6h`, `-7d`, `now`.
                 * @example -6h
                 */
                start_time?: string;
                /**
                 * @description Upper bound, inclusive; default none. RFC 3339, or relative: `-90s`, `-15m`, `-6h`, `-7d`, `now`.
                 * @example 2030-01-01T00:00:00Z
                 */
                end_time?: string;
                /**
                 * @description Number of the page, from 1; it begins at row (page − 1) · page_size. Default 1. If events arrive meanwhile, following `next` is exact and page numbers are not.
                 * @example 1
                 */
                page?: number;
                /**
                 * @description Largest number of items on a page; default 50.
                 * @example 50
                 */
                page_size?: number;
                /**
                 * @description Largest number of items on a first page that is joined from several of Kubiya's pages. It replaces `page` and `page_size`.
                 * @example 500
                 */
                limit?: number;
                /** @description By instant, then id; default `desc`. */
                sort_direction?: "asc" | "desc";
                /** @description Position of the next page, from `next_cursor`. It contains the whole query: send no other parameter. */
                cursor?: string;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description A page of events. */
            200: {
                headers: {
                    /** @description Weak validator of the items. Send it as `If-None-Match` to get a 304 while they are unchanged. */
                    etag?: string;
                    /** @description `private, no-cache` while the answer can change, `private, max-age=…` once it cannot. */
                    "cache-control"?: string;
                    /** @description Seconds since the answer was read from Kubiya. */
                    age?: number;
                    /** @description RFC 9211: how the cache handled the request. A negative `ttl` marks a stale answer. */
                    "cache-status"?: string;
                    /** @description `rel="next"` with the next page of a list or search, relative to the request. Absent when it would be too long. */
                    link?: string;
                    /** @description `accept-encoding`: larger answers are encoded with the preferred one of `br` and `gzip`. */
                    vary?: string;
                    /** @description `br` or `gzip`, when the body is compressed. */
                    "content-encoding"?: string;
                    /** @description The request's id, as in the logs. */
                    "x-request-id"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["EventPage"];
                };
            };
            /** @description Not modified: `If-None-Match` names the current `ETag`. The headers are those of a 200. */
            304: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description The request is invalid, denied, or finds nothing: `invalid-…`, `unauthorized`, `rate-limited`, `not-found`. */
            "4XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Kubiya or this service cannot answer now: `upstream-…`, `overloaded`, `internal`. */
            "5XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    searchEvents: {
        parameters: {
            query?: {
                /**
                 * @description Only events whose `category_type` is exactly this.
                 * @example agents
                 */
                category_type?: string;
                /**
                 * @description Only events whose `category_name` is exactly this.
                 * @example my-agent
                 */
                category_name?: string;
                /**
                 * @description Only events whose `resource_type` is exactly this.
                 * @example agent
                 */
                resource_type?: string;
                /**
                 * @description Only events whose `action_type` is exactly this.
                 * @example invoke
                 */
                action_type?: string;
                /**
                 * @description Only events of this session: `extra.session_id` or `session_id`.
                 * @example session-123
                 */
                session_id?: string;
                /**
                 * @description Only events whose `email` is exactly this.
                 * @example user1@acme.test
                 */
                email?: string;
                /**
                 * @description Only events whose `extra.tool_name` is exactly this.
                 * @example kubectl_restart
                 */
                tool_name?: string;
                /** @description Only events whose `action_successful` is true (`success`) or false (`failed`). A missing or null value is neither. */
                status?: "success" | "failed";
                /**
                 * @description Only events with this text in the value of any field, also of a nested one. Upper and lower case are equal in every script. Names of fields are not searched.
                 * @example timeout
                 */
                text?: string;
                /**
                 * @description Lower bound, inclusive; default 24 h before the end, with `session_id` none. RFC 3339, or relative: `-90s`, `-15m`, `-6h`, `-7d`, `now`.
                 * @example -6h
                 */
                start_time?: string;
                /**
                 * @description Upper bound, inclusive; default none. RFC 3339, or relative: `-90s`, `-15m`, `-6h`, `-7d`, `now`.
                 * @example 2030-01-01T00:00:00Z
                 */
                end_time?: string;
                /**
                 * @description Number of the page, from 1; it begins at row (page − 1) · page_size. Default 1. If events arrive meanwhile, following `next` is exact and page numbers are not.
                 * @example 1
                 */
                page?: number;
                /**
                 * @description Largest number of items on a page; default 50.
                 * @example 50
                 */
                page_size?: number;
                /**
                 * @description Largest number of items on a first page that is joined from several of Kubiya's pages. It replaces `page` and `page_size`.
                 * @example 500
                 */
                limit?: number;
                /** @description By instant, then id; default `desc`. */
                sort_direction?: "asc" | "desc";
                /** @description Position of the next page, from `next_cursor`. It contains the whole query: send no other parameter. */
                cursor?: string;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description A page of matches. */
            200: {
                headers: {
                    /** @description Weak validator of the items. Send it as `If-None-Match` to get a 304 while they are unchanged. */
                    etag?: string;
                    /** @description `private, no-cache` while the answer can change, `private, max-age=…` once it cannot. */
                    "cache-control"?: string;
                    /** @description Seconds since the answer was read from Kubiya. */
                    age?: number;
                    /** @description RFC 9211: how the cache handled the request. A negative `ttl` marks a stale answer. */
                    "cache-status"?: string;
                    /** @description `rel="next"` with the next page of a list or search, relative to the request. Absent when it would be too long. */
                    link?: string;
                    /** @description `accept-encoding`: larger answers are encoded with the preferred one of `br` and `gzip`. */
                    vary?: string;
                    /** @description `br` or `gzip`, when the body is compressed. */
                    "content-encoding"?: string;
                    /** @description The request's id, as in the logs. */
                    "x-request-id"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["SearchPage"];
                };
            };
            /** @description Not modified: `If-None-Match` names the current `ETag`. The headers are those of a 200. */
            304: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description The request is invalid, denied, or finds nothing: `invalid-…`, `unauthorized`, `rate-limited`, `not-found`. */
            "4XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Kubiya or this service cannot answer now: `upstream-…`, `overloaded`, `internal`. */
            "5XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    describeEvent: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /**
                 * @description The event's `id`, of at most 200 UTF-16 code units before it is percent-encoded.
                 * @example kab1.1748942047218334000.kJ0mZ1m7w2cYH6cXGk1zZQ
                 */
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The event. */
            200: {
                headers: {
                    /** @description Weak validator of the items. Send it as `If-None-Match` to get a 304 while they are unchanged. */
                    etag?: string;
                    /** @description `private, no-cache` while the answer can change, `private, max-age=…` once it cannot. */
                    "cache-control"?: string;
                    /** @description Seconds since the answer was read from Kubiya. */
                    age?: number;
                    /** @description RFC 9211: how the cache handled the request. A negative `ttl` marks a stale answer. */
                    "cache-status"?: string;
                    /** @description `rel="next"` with the next page of a list or search, relative to the request. Absent when it would be too long. */
                    link?: string;
                    /** @description `accept-encoding`: larger answers are encoded with the preferred one of `br` and `gzip`. */
                    vary?: string;
                    /** @description `br` or `gzip`, when the body is compressed. */
                    "content-encoding"?: string;
                    /** @description The request's id, as in the logs. */
                    "x-request-id"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["AuditEvent"];
                };
            };
            /** @description Not modified: `If-None-Match` names the current `ETag`. The headers are those of a 200. */
            304: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description The request is invalid, denied, or finds nothing: `invalid-…`, `unauthorized`, `rate-limited`, `not-found`. */
            "4XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Kubiya or this service cannot answer now: `upstream-…`, `overloaded`, `internal`. */
            "5XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    readSession: {
        parameters: {
            query?: {
                /**
                 * @description Largest number of entries on a page; default 200.
                 * @example 200
                 */
                page_size?: number;
                /** @description Position of the next page, from `next_cursor`. It contains the whole query: send no other parameter. */
                cursor?: string;
                /**
                 * @description Only events with this text in the value of any field, also of a nested one. Upper and lower case are equal in every script. Names of fields are not searched.
                 * @example timeout
                 */
                text?: string;
                /** @description Only events whose `action_successful` is true (`success`) or false (`failed`). A missing or null value is neither. */
                status?: "success" | "failed";
                /** @description What the entry is in a conversation. */
                kind?: "user_message" | "agent_message" | "tool_call" | "tool_output" | "webhook" | "trigger" | "ai" | "system";
            };
            header?: never;
            path: {
                /**
                 * @description The session's id, percent-encoded: `a/b` is `a%2Fb`.
                 * @example 5b0c1c7e-6c1d-4d0e-9a64-0f6f5d2f8a11
                 */
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description A page of the session. */
            200: {
                headers: {
                    /** @description Weak validator of the items. Send it as `If-None-Match` to get a 304 while they are unchanged. */
                    etag?: string;
                    /** @description `private, no-cache` while the answer can change, `private, max-age=…` once it cannot. */
                    "cache-control"?: string;
                    /** @description Seconds since the answer was read from Kubiya. */
                    age?: number;
                    /** @description RFC 9211: how the cache handled the request. A negative `ttl` marks a stale answer. */
                    "cache-status"?: string;
                    /** @description `rel="next"` with the next page of a list or search, relative to the request. Absent when it would be too long. */
                    link?: string;
                    /** @description `accept-encoding`: larger answers are encoded with the preferred one of `br` and `gzip`. */
                    vary?: string;
                    /** @description `br` or `gzip`, when the body is compressed. */
                    "content-encoding"?: string;
                    /** @description The request's id, as in the logs. */
                    "x-request-id"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["ConversationPage"];
                };
            };
            /** @description Not modified: `If-None-Match` names the current `ETag`. The headers are those of a 200. */
            304: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description The request is invalid, denied, or finds nothing: `invalid-…`, `unauthorized`, `rate-limited`, `not-found`. */
            "4XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Kubiya or this service cannot answer now: `upstream-…`, `overloaded`, `internal`. */
            "5XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    getSummary: {
        parameters: {
            query?: {
                /**
                 * @description Only events whose `category_type` is exactly this.
                 * @example agents
                 */
                category_type?: string;
                /**
                 * @description Only events whose `category_name` is exactly this.
                 * @example my-agent
                 */
                category_name?: string;
                /**
                 * @description Only events whose `resource_type` is exactly this.
                 * @example agent
                 */
                resource_type?: string;
                /**
                 * @description Only events whose `action_type` is exactly this.
                 * @example invoke
                 */
                action_type?: string;
                /**
                 * @description Only events of this session: `extra.session_id` or `session_id`.
                 * @example session-123
                 */
                session_id?: string;
                /**
                 * @description Only events whose `email` is exactly this.
                 * @example user1@acme.test
                 */
                email?: string;
                /**
                 * @description Only events whose `extra.tool_name` is exactly this.
                 * @example kubectl_restart
                 */
                tool_name?: string;
                /** @description Only events whose `action_successful` is true (`success`) or false (`failed`). A missing or null value is neither. */
                status?: "success" | "failed";
                /**
                 * @description Only events with this text in the value of any field, also of a nested one. Upper and lower case are equal in every script. Names of fields are not searched.
                 * @example timeout
                 */
                text?: string;
                /**
                 * @description Lower bound, inclusive; default 24 h before the end, with `session_id` none. RFC 3339, or relative: `-90s`, `-15m`, `-6h`, `-7d`, `now`.
                 * @example -6h
                 */
                start_time?: string;
                /**
                 * @description Upper bound, inclusive; default none. RFC 3339, or relative: `-90s`, `-15m`, `-6h`, `-7d`, `now`.
                 * @example 2030-01-01T00:00:00Z
                 */
                end_time?: string;
                /** @description Number of values that are listed for each field; default 10. */
                top?: number;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The counts. */
            200: {
                headers: {
                    /** @description Weak validator of the items. Send it as `If-None-Match` to get a 304 while they are unchanged. */
                    etag?: string;
                    /** @description `private, no-cache` while the answer can change, `private, max-age=…` once it cannot. */
                    "cache-control"?: string;
                    /** @description Seconds since the answer was read from Kubiya. */
                    age?: number;
                    /** @description RFC 9211: how the cache handled the request. A negative `ttl` marks a stale answer. */
                    "cache-status"?: string;
                    /** @description `rel="next"` with the next page of a list or search, relative to the request. Absent when it would be too long. */
                    link?: string;
                    /** @description `accept-encoding`: larger answers are encoded with the preferred one of `br` and `gzip`. */
                    vary?: string;
                    /** @description `br` or `gzip`, when the body is compressed. */
                    "content-encoding"?: string;
                    /** @description The request's id, as in the logs. */
                    "x-request-id"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Summary"];
                };
            };
            /** @description Not modified: `If-None-Match` names the current `ETag`. The headers are those of a 200. */
            304: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description The request is invalid, denied, or finds nothing: `invalid-…`, `unauthorized`, `rate-limited`, `not-found`. */
            "4XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Kubiya or this service cannot answer now: `upstream-…`, `overloaded`, `internal`. */
            "5XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    getTimeline: {
        parameters: {
            query?: {
                /**
                 * @description Only events whose `category_type` is exactly this.
                 * @example agents
                 */
                category_type?: string;
                /**
                 * @description Only events whose `category_name` is exactly this.
                 * @example my-agent
                 */
                category_name?: string;
                /**
                 * @description Only events whose `resource_type` is exactly this.
                 * @example agent
                 */
                resource_type?: string;
                /**
                 * @description Only events whose `action_type` is exactly this.
                 * @example invoke
                 */
                action_type?: string;
                /**
                 * @description Only events of this session: `extra.session_id` or `session_id`.
                 * @example session-123
                 */
                session_id?: string;
                /**
                 * @description Only events whose `email` is exactly this.
                 * @example user1@acme.test
                 */
                email?: string;
                /**
                 * @description Only events whose `extra.tool_name` is exactly this.
                 * @example kubectl_restart
                 */
                tool_name?: string;
                /** @description Only events whose `action_successful` is true (`success`) or false (`failed`). A missing or null value is neither. */
                status?: "success" | "failed";
                /**
                 * @description Only events with this text in the value of any field, also of a nested one. Upper and lower case are equal in every script. Names of fields are not searched.
                 * @example timeout
                 */
                text?: string;
                /**
                 * @description Lower bound, inclusive; default 24 h before the end, with `session_id` none. RFC 3339, or relative: `-90s`, `-15m`, `-6h`, `-7d`, `now`.
                 * @example -6h
                 */
                start_time?: string;
                /**
                 * @description Upper bound, inclusive; default none. RFC 3339, or relative: `-90s`, `-15m`, `-6h`, `-7d`, `now`.
                 * @example 2030-01-01T00:00:00Z
                 */
                end_time?: string;
                /** @description Largest number of buckets; default 60. Their width is the least of 1, 2, 5, 10, 15, 30 s and min, 1, 2, 3, 6, 12 h, 1, 7, 30 d that suffices. */
                buckets?: number;
                /**
                 * @description Width of a bucket instead: a number and `s`, `m`, `h` or `d`. At most 1500 buckets.
                 * @example 15m
                 */
                interval?: string;
                /** @description The field whose values are the series; default `status`. */
                by?: "category_type" | "category_name" | "resource_type" | "action_type" | "status" | "email" | "tool_name" | "none";
                /** @description Number of series; the last one, with an empty value, is for all other values; default 8. */
                top?: number;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The counts. */
            200: {
                headers: {
                    /** @description Weak validator of the items. Send it as `If-None-Match` to get a 304 while they are unchanged. */
                    etag?: string;
                    /** @description `private, no-cache` while the answer can change, `private, max-age=…` once it cannot. */
                    "cache-control"?: string;
                    /** @description Seconds since the answer was read from Kubiya. */
                    age?: number;
                    /** @description RFC 9211: how the cache handled the request. A negative `ttl` marks a stale answer. */
                    "cache-status"?: string;
                    /** @description `rel="next"` with the next page of a list or search, relative to the request. Absent when it would be too long. */
                    link?: string;
                    /** @description `accept-encoding`: larger answers are encoded with the preferred one of `br` and `gzip`. */
                    vary?: string;
                    /** @description `br` or `gzip`, when the body is compressed. */
                    "content-encoding"?: string;
                    /** @description The request's id, as in the logs. */
                    "x-request-id"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Timeline"];
                };
            };
            /** @description Not modified: `If-None-Match` names the current `ETag`. The headers are those of a 200. */
            304: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description The request is invalid, denied, or finds nothing: `invalid-…`, `unauthorized`, `rate-limited`, `not-found`. */
            "4XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Kubiya or this service cannot answer now: `upstream-…`, `overloaded`, `internal`. */
            "5XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    getFacets: {
        parameters: {
            query?: {
                /**
                 * @description Only events whose `category_type` is exactly this.
                 * @example agents
                 */
                category_type?: string;
                /**
                 * @description Only events whose `category_name` is exactly this.
                 * @example my-agent
                 */
                category_name?: string;
                /**
                 * @description Only events whose `resource_type` is exactly this.
                 * @example agent
                 */
                resource_type?: string;
                /**
                 * @description Only events whose `action_type` is exactly this.
                 * @example invoke
                 */
                action_type?: string;
                /**
                 * @description Only events of this session: `extra.session_id` or `session_id`.
                 * @example session-123
                 */
                session_id?: string;
                /**
                 * @description Only events whose `email` is exactly this.
                 * @example user1@acme.test
                 */
                email?: string;
                /**
                 * @description Only events whose `extra.tool_name` is exactly this.
                 * @example kubectl_restart
                 */
                tool_name?: string;
                /** @description Only events whose `action_successful` is true (`success`) or false (`failed`). A missing or null value is neither. */
                status?: "success" | "failed";
                /**
                 * @description Only events with this text in the value of any field, also of a nested one. Upper and lower case are equal in every script. Names of fields are not searched.
                 * @example timeout
                 */
                text?: string;
                /**
                 * @description Lower bound, inclusive; default 24 h before the end, with `session_id` none. RFC 3339, or relative: `-90s`, `-15m`, `-6h`, `-7d`, `now`.
                 * @example -6h
                 */
                start_time?: string;
                /**
                 * @description Upper bound, inclusive; default none. RFC 3339, or relative: `-90s`, `-15m`, `-6h`, `-7d`, `now`.
                 * @example 2030-01-01T00:00:00Z
                 */
                end_time?: string;
                /**
                 * @description Names of fields, separated by commas; default all: category_type, category_name, resource_type, action_type, status, email, tool_name.
                 * @example category_type,status
                 */
                fields?: string;
                /** @description Number of values that are listed for each field; default 20. */
                top?: number;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The counts. */
            200: {
                headers: {
                    /** @description Weak validator of the items. Send it as `If-None-Match` to get a 304 while they are unchanged. */
                    etag?: string;
                    /** @description `private, no-cache` while the answer can change, `private, max-age=…` once it cannot. */
                    "cache-control"?: string;
                    /** @description Seconds since the answer was read from Kubiya. */
                    age?: number;
                    /** @description RFC 9211: how the cache handled the request. A negative `ttl` marks a stale answer. */
                    "cache-status"?: string;
                    /** @description `rel="next"` with the next page of a list or search, relative to the request. Absent when it would be too long. */
                    link?: string;
                    /** @description `accept-encoding`: larger answers are encoded with the preferred one of `br` and `gzip`. */
                    vary?: string;
                    /** @description `br` or `gzip`, when the body is compressed. */
                    "content-encoding"?: string;
                    /** @description The request's id, as in the logs. */
                    "x-request-id"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["Facets"];
                };
            };
            /** @description Not modified: `If-None-Match` names the current `ETag`. The headers are those of a 200. */
            304: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description The request is invalid, denied, or finds nothing: `invalid-…`, `unauthorized`, `rate-limited`, `not-found`. */
            "4XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Kubiya or this service cannot answer now: `upstream-…`, `overloaded`, `internal`. */
            "5XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    listSessions: {
        parameters: {
            query?: {
                /**
                 * @description Only events whose `category_type` is exactly this.
                 * @example agents
                 */
                category_type?: string;
                /**
                 * @description Only events whose `category_name` is exactly this.
                 * @example my-agent
                 */
                category_name?: string;
                /**
                 * @description Only events whose `resource_type` is exactly this.
                 * @example agent
                 */
                resource_type?: string;
                /**
                 * @description Only events whose `action_type` is exactly this.
                 * @example invoke
                 */
                action_type?: string;
                /**
                 * @description Only events of this session: `extra.session_id` or `session_id`.
                 * @example session-123
                 */
                session_id?: string;
                /**
                 * @description Only events whose `email` is exactly this.
                 * @example user1@acme.test
                 */
                email?: string;
                /**
                 * @description Only events whose `extra.tool_name` is exactly this.
                 * @example kubectl_restart
                 */
                tool_name?: string;
                /** @description Only events whose `action_successful` is true (`success`) or false (`failed`). A missing or null value is neither. */
                status?: "success" | "failed";
                /**
                 * @description Only events with this text in the value of any field, also of a nested one. Upper and lower case are equal in every script. Names of fields are not searched.
                 * @example timeout
                 */
                text?: string;
                /**
                 * @description Lower bound, inclusive; default 24 h before the end, with `session_id` none. RFC 3339, or relative: `-90s`, `-15m`, `-6h`, `-7d`, `now`.
                 * @example -6h
                 */
                start_time?: string;
                /**
                 * @description Upper bound, inclusive; default none. RFC 3339, or relative: `-90s`, `-15m`, `-6h`, `-7d`, `now`.
                 * @example 2030-01-01T00:00:00Z
                 */
                end_time?: string;
                /** @description Only sessions with this outcome: that of their newest event that has one. `recovered`: it succeeded after failures. */
                outcome?: "success" | "failed" | "recovered" | "unknown";
                /** @description The greatest value comes first; default `end_time`. */
                order_by?: "end_time" | "events" | "failed" | "duration";
                /** @description Largest number of sessions on a page; default 50. */
                page_size?: number;
                /** @description Position of the next page, from `next`. It contains the whole query: send no other parameter. */
                cursor?: string;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The counts. */
            200: {
                headers: {
                    /** @description Weak validator of the items. Send it as `If-None-Match` to get a 304 while they are unchanged. */
                    etag?: string;
                    /** @description `private, no-cache` while the answer can change, `private, max-age=…` once it cannot. */
                    "cache-control"?: string;
                    /** @description Seconds since the answer was read from Kubiya. */
                    age?: number;
                    /** @description RFC 9211: how the cache handled the request. A negative `ttl` marks a stale answer. */
                    "cache-status"?: string;
                    /** @description `rel="next"` with the next page of a list or search, relative to the request. Absent when it would be too long. */
                    link?: string;
                    /** @description `accept-encoding`: larger answers are encoded with the preferred one of `br` and `gzip`. */
                    vary?: string;
                    /** @description `br` or `gzip`, when the body is compressed. */
                    "content-encoding"?: string;
                    /** @description The request's id, as in the logs. */
                    "x-request-id"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["SessionPage"];
                };
            };
            /** @description Not modified: `If-None-Match` names the current `ETag`. The headers are those of a 200. */
            304: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description The request is invalid, denied, or finds nothing: `invalid-…`, `unauthorized`, `rate-limited`, `not-found`. */
            "4XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Kubiya or this service cannot answer now: `upstream-…`, `overloaded`, `internal`. */
            "5XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    exportEvents: {
        parameters: {
            query?: {
                /**
                 * @description Only events whose `category_type` is exactly this.
                 * @example agents
                 */
                category_type?: string;
                /**
                 * @description Only events whose `category_name` is exactly this.
                 * @example my-agent
                 */
                category_name?: string;
                /**
                 * @description Only events whose `resource_type` is exactly this.
                 * @example agent
                 */
                resource_type?: string;
                /**
                 * @description Only events whose `action_type` is exactly this.
                 * @example invoke
                 */
                action_type?: string;
                /**
                 * @description Only events of this session: `extra.session_id` or `session_id`.
                 * @example session-123
                 */
                session_id?: string;
                /**
                 * @description Only events whose `email` is exactly this.
                 * @example user1@acme.test
                 */
                email?: string;
                /**
                 * @description Only events whose `extra.tool_name` is exactly this.
                 * @example kubectl_restart
                 */
                tool_name?: string;
                /** @description Only events whose `action_successful` is true (`success`) or false (`failed`). A missing or null value is neither. */
                status?: "success" | "failed";
                /**
                 * @description Only events with this text in the value of any field, also of a nested one. Upper and lower case are equal in every script. Names of fields are not searched.
                 * @example timeout
                 */
                text?: string;
                /**
                 * @description Lower bound, inclusive; default 24 h before the end, with `session_id` none. RFC 3339, or relative: `-90s`, `-15m`, `-6h`, `-7d`, `now`.
                 * @example -6h
                 */
                start_time?: string;
                /**
                 * @description Upper bound, inclusive; default now. RFC 3339, or relative: `-90s`, `-15m`, `-6h`, `-7d`, `now`.
                 * @example 2030-01-01T00:00:00Z
                 */
                end_time?: string;
                /** @description How the events are written; default `ndjson`. */
                format?: "ndjson" | "csv" | "json" | "txt";
                /** @description By instant, then id; default `asc`. */
                sort_direction?: "asc" | "desc";
                /**
                 * @description Largest number of events; default 1000000. Beyond it, the export is incomplete.
                 * @example 10000
                 */
                limit?: number;
                /** @description Where an incomplete export continues, from its `next`. It contains the query: send no other parameter than `format` and those of CSV. */
                cursor?: string;
                /**
                 * @description CSV: at most 50 paths into the event, separated by commas, such as `extra.tool_name`. `session_id` is `extra.session_id`, or `session_id` without it. Default `timestamp,email,category_type,category_name,resource_type,resource_text,action_type,action_successful,session_id,id,org,scope,version,extra`.
                 * @example timestamp,email,extra.tool_name
                 */
                columns?: string;
                /** @description CSV: begins with a byte order mark; default false. */
                bom?: boolean;
                /** @description CSV: between two cells; default `comma`. */
                delimiter?: "comma" | "semicolon" | "tab";
                /** @description CSV: puts `'` in front of a cell that a spreadsheet could take for a formula; default true. Such a cell begins with `=`, `+`, `-`, `@`, a tab or a line break. */
                guard?: boolean;
                /** @description Replaces the caller's credential where `Authorization` cannot be sent. From `POST /export/tickets` with the same parameters, for one export. */
                ticket?: string;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The events, as a file. An answer without its end was cut off. Trailers: `x-export-complete` (`true` or `false`) and `x-export-next` (the cursor, or empty). */
            200: {
                headers: {
                    /** @description `attachment`, with a name that holds the window. */
                    "content-disposition"?: string;
                    /** @description The names of the trailers. */
                    trailer?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/x-ndjson": string;
                    "text/csv": string;
                    "application/json": string;
                    "text/plain": string;
                };
            };
            /** @description The request is invalid, denied, or finds nothing: `invalid-…`, `unauthorized`, `rate-limited`, `not-found`. */
            "4XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Kubiya or this service cannot answer now: `upstream-…`, `overloaded`, `internal`. */
            "5XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    createExportTicket: {
        parameters: {
            query?: {
                /**
                 * @description Only events whose `category_type` is exactly this.
                 * @example agents
                 */
                category_type?: string;
                /**
                 * @description Only events whose `category_name` is exactly this.
                 * @example my-agent
                 */
                category_name?: string;
                /**
                 * @description Only events whose `resource_type` is exactly this.
                 * @example agent
                 */
                resource_type?: string;
                /**
                 * @description Only events whose `action_type` is exactly this.
                 * @example invoke
                 */
                action_type?: string;
                /**
                 * @description Only events of this session: `extra.session_id` or `session_id`.
                 * @example session-123
                 */
                session_id?: string;
                /**
                 * @description Only events whose `email` is exactly this.
                 * @example user1@acme.test
                 */
                email?: string;
                /**
                 * @description Only events whose `extra.tool_name` is exactly this.
                 * @example kubectl_restart
                 */
                tool_name?: string;
                /** @description Only events whose `action_successful` is true (`success`) or false (`failed`). A missing or null value is neither. */
                status?: "success" | "failed";
                /**
                 * @description Only events with this text in the value of any field, also of a nested one. Upper and lower case are equal in every script. Names of fields are not searched.
                 * @example timeout
                 */
                text?: string;
                /**
                 * @description Lower bound, inclusive; default 24 h before the end, with `session_id` none. RFC 3339, or relative: `-90s`, `-15m`, `-6h`, `-7d`, `now`.
                 * @example -6h
                 */
                start_time?: string;
                /**
                 * @description Upper bound, inclusive; default now. RFC 3339, or relative: `-90s`, `-15m`, `-6h`, `-7d`, `now`.
                 * @example 2030-01-01T00:00:00Z
                 */
                end_time?: string;
                /** @description How the events are written; default `ndjson`. */
                format?: "ndjson" | "csv" | "json" | "txt";
                /** @description By instant, then id; default `asc`. */
                sort_direction?: "asc" | "desc";
                /**
                 * @description Largest number of events; default 1000000. Beyond it, the export is incomplete.
                 * @example 10000
                 */
                limit?: number;
                /** @description Where an incomplete export continues, from its `next`. It contains the query: send no other parameter than `format` and those of CSV. */
                cursor?: string;
                /**
                 * @description CSV: at most 50 paths into the event, separated by commas, such as `extra.tool_name`. `session_id` is `extra.session_id`, or `session_id` without it. Default `timestamp,email,category_type,category_name,resource_type,resource_text,action_type,action_successful,session_id,id,org,scope,version,extra`.
                 * @example timestamp,email,extra.tool_name
                 */
                columns?: string;
                /** @description CSV: begins with a byte order mark; default false. */
                bom?: boolean;
                /** @description CSV: between two cells; default `comma`. */
                delimiter?: "comma" | "semicolon" | "tab";
                /** @description CSV: puts `'` in front of a cell that a spreadsheet could take for a formula; default true. Such a cell begins with `=`, `+`, `-`, `@`, a tab or a line break. */
                guard?: boolean;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description A ticket. */
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        /**
                         * @description Value of the export's parameter `ticket`. It is valid for one export.
                         * @example oG1yT8kq2cXh5sVd7uLw0bZn3mQe9rAf
                         */
                        ticket: string;
                        /**
                         * @description Validity in seconds.
                         * @example 30
                         */
                        expires_in: number;
                    };
                };
            };
            /** @description The request is invalid, denied, or finds nothing: `invalid-…`, `unauthorized`, `rate-limited`, `not-found`. */
            "4XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Kubiya or this service cannot answer now: `upstream-…`, `overloaded`, `internal`. */
            "5XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    streamEvents: {
        parameters: {
            query?: {
                /**
                 * @description Only events whose `category_type` is exactly this.
                 * @example agents
                 */
                category_type?: string;
                /**
                 * @description Only events whose `category_name` is exactly this.
                 * @example my-agent
                 */
                category_name?: string;
                /**
                 * @description Only events whose `resource_type` is exactly this.
                 * @example agent
                 */
                resource_type?: string;
                /**
                 * @description Only events whose `action_type` is exactly this.
                 * @example invoke
                 */
                action_type?: string;
                /**
                 * @description Only events of this session: `extra.session_id` or `session_id`.
                 * @example session-123
                 */
                session_id?: string;
                /**
                 * @description Only events whose `email` is exactly this.
                 * @example user1@acme.test
                 */
                email?: string;
                /**
                 * @description Only events whose `extra.tool_name` is exactly this.
                 * @example kubectl_restart
                 */
                tool_name?: string;
                /** @description Only events whose `action_successful` is true (`success`) or false (`failed`). A missing or null value is neither. */
                status?: "success" | "failed";
                /**
                 * @description Only events with this text in the value of any field, also of a nested one. Upper and lower case are equal in every script. Names of fields are not searched.
                 * @example timeout
                 */
                text?: string;
                /**
                 * @description Replays events from here, then continues live; default 5 minutes ago. RFC 3339, or relative: `-90s`, `-15m`, `-6h`, `-7d`, `now`.
                 * @example -15m
                 */
                start_time?: string;
                /** @description Resumes after this cursor, from any frame or a list's `live_cursor`. Not together with `start_time`. */
                since?: string;
                /** @description Like the header `Last-Event-ID`, for clients that cannot set it. The header has precedence; empty means none. */
                lastEventId?: string;
                /** @description Replaces the caller's credential if `Authorization` cannot be sent. From `POST /stream/tickets`, for one stream. */
                ticket?: string;
                /**
                 * @description Ends the stream after this many minutes.
                 * @example 30
                 */
                timeout_minutes?: number;
                /** @description Sends a `status` frame after each poll. */
                verbose?: boolean;
            };
            header?: {
                /** @description Server-Sent Events: resumes after this cursor. A browser sends it when it reconnects. `since` and `start_time` are then ignored. */
                "last-event-id"?: string;
            };
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Switching to the WebSocket protocol. */
            101: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description Server-Sent Events: `event` is the frame's type, `id` its cursor, `data` the frame. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "text/event-stream": string;
                };
            };
            /** @description The request is invalid, denied, or finds nothing: `invalid-…`, `unauthorized`, `rate-limited`, `not-found`. */
            "4XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Kubiya or this service cannot answer now: `upstream-…`, `overloaded`, `internal`. */
            "5XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    createStreamTicket: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description A ticket. */
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        /**
                         * @description Value of the stream's parameter `ticket`. It is valid for one stream.
                         * @example oG1yT8kq2cXh5sVd7uLw0bZn3mQe9rAf
                         */
                        ticket: string;
                        /**
                         * @description Validity in seconds.
                         * @example 30
                         */
                        expires_in: number;
                    };
                };
            };
            /** @description The request is invalid, denied, or finds nothing: `invalid-…`, `unauthorized`, `rate-limited`, `not-found`. */
            "4XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Kubiya or this service cannot answer now: `upstream-…`, `overloaded`, `internal`. */
            "5XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    listKubiyaItems: {
        parameters: {
            query?: {
                /**
                 * @description A JSON object with `timestamp` (`gte`, `lte`) and any of `category_type`, `category_name`, `resource_type`, `action_type`, `session_id`, `extra.session_id`, `email`, `extra.tool_name`.
                 * @example {"timestamp":{"gte":"2025-06-03T00:00:00Z"},"category_type":"agents"}
                 */
                filter?: string;
                /**
                 * @description `{"timestamp":-1}` (default) or `{"timestamp":1}`.
                 * @example {"timestamp":-1}
                 */
                sort?: string;
                /** @description Number of the page; default 1. */
                page?: number;
                /** @description Rows of a page; default 50. */
                page_size?: number;
                /** @description Only events that contain this text. Pages count matches. */
                search_text?: string;
                /** @description `success` or `failed`. Pages count matches. */
                status_filter?: string;
                /** @description Ignored. */
                timeout_minutes?: string;
                /** @description Ignored. */
                verbose?: string;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description A page of events. */
            200: {
                headers: {
                    /** @description Weak validator of the items. Send it as `If-None-Match` to get a 304 while they are unchanged. */
                    etag?: string;
                    /** @description `private, no-cache` while the answer can change, `private, max-age=…` once it cannot. */
                    "cache-control"?: string;
                    /** @description Seconds since the answer was read from Kubiya. */
                    age?: number;
                    /** @description RFC 9211: how the cache handled the request. A negative `ttl` marks a stale answer. */
                    "cache-status"?: string;
                    /** @description `rel="next"` with the next page of a list or search, relative to the request. Absent when it would be too long. */
                    link?: string;
                    /** @description `accept-encoding`: larger answers are encoded with the preferred one of `br` and `gzip`. */
                    vary?: string;
                    /** @description `br` or `gzip`, when the body is compressed. */
                    "content-encoding"?: string;
                    /** @description The request's id, as in the logs. */
                    "x-request-id"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["KubiyaItems"];
                };
            };
            /** @description Not modified: `If-None-Match` names the current `ETag`. The headers are those of a 200. */
            304: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description The request is invalid, denied, or finds nothing. */
            "4XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["KubiyaError"];
                };
            };
            /** @description Kubiya or this service cannot answer now. */
            "5XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["KubiyaError"];
                };
            };
        };
    };
    getKubiyaItem: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description The event's `id`. */
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The event. */
            200: {
                headers: {
                    /** @description Weak validator of the items. Send it as `If-None-Match` to get a 304 while they are unchanged. */
                    etag?: string;
                    /** @description `private, no-cache` while the answer can change, `private, max-age=…` once it cannot. */
                    "cache-control"?: string;
                    /** @description Seconds since the answer was read from Kubiya. */
                    age?: number;
                    /** @description RFC 9211: how the cache handled the request. A negative `ttl` marks a stale answer. */
                    "cache-status"?: string;
                    /** @description `rel="next"` with the next page of a list or search, relative to the request. Absent when it would be too long. */
                    link?: string;
                    /** @description `accept-encoding`: larger answers are encoded with the preferred one of `br` and `gzip`. */
                    vary?: string;
                    /** @description `br` or `gzip`, when the body is compressed. */
                    "content-encoding"?: string;
                    /** @description The request's id, as in the logs. */
                    "x-request-id"?: string;
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["AuditEvent"];
                };
            };
            /** @description Not modified: `If-None-Match` names the current `ETag`. The headers are those of a 200. */
            304: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description The request is invalid, denied, or finds nothing. */
            "4XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["KubiyaError"];
                };
            };
            /** @description Kubiya or this service cannot answer now. */
            "5XX": {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["KubiyaError"];
                };
            };
        };
    };
    livez: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The process is alive. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        /** @enum {string} */
                        status: "ok";
                    };
                };
            };
        };
    };
    readyz: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The process can serve. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        /** @description `starting`: the first poll has not ended. `stalled`: the poller has stopped. */
                        status: "ready" | "starting" | "draining" | "stalled";
                        upstream: {
                            /** @description Result of the last polls. */
                            state: "ok" | "degraded" | "throttled" | "unauthorized";
                            /** @description Time of the last good poll, RFC 3339. */
                            last_good_poll: string | null;
                            /** @description Age of the last good poll. */
                            lag_ms: number;
                            /**
                             * @description The upstream is the embedded sandbox.
                             * @enum {boolean}
                             */
                            sandbox?: true;
                        };
                    };
                };
            };
            /** @description The process is starting or draining, or its poller has stopped. */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": {
                        /** @description `starting`: the first poll has not ended. `stalled`: the poller has stopped. */
                        status: "ready" | "starting" | "draining" | "stalled";
                        upstream: {
                            /** @description Result of the last polls. */
                            state: "ok" | "degraded" | "throttled" | "unauthorized";
                            /** @description Time of the last good poll, RFC 3339. */
                            last_good_poll: string | null;
                            /** @description Age of the last good poll. */
                            lag_ms: number;
                            /**
                             * @description The upstream is the embedded sandbox.
                             * @enum {boolean}
                             */
                            sandbox?: true;
                        };
                    };
                };
            };
        };
    };
    metrics: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description All metrics. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "text/plain": string;
                };
            };
        };
    };
}
