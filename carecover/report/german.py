"""The report's sentences in German: the same keys as the English ones in ``texts``, and the words of the tables.

The module is long because a language is one mapping.
"""

from __future__ import annotations

from typing import Final

GERMAN: Final = {
    "title": "Abschlussbericht zum Vorfall",
    "subtitle": "Zertifikate, die die wiederhergestellte Zertifizierungsstelle nicht mehr kannte",
    "skip": "Zur Zusammenfassung",
    "contents": "Inhalt",
    "unknown": "nicht bekannt",
    "unnamed_ca": "Zertifizierungsstelle (Name nicht bekannt)",
    "more_rows": "Die ersten {shown:,} von {total:,} Zeilen. Alle: carecover table CASE {source}",
    "more_rows_plain": "Die ersten {shown:,} von {total:,} Zeilen.",
    "open_field": "noch auszufüllen",
    "about": "Über diesen Bericht",
    "picture_caption": "Abbildung 1. Die Lücke. {description}",
    "picture_empty": "Abbildung 1. {description}",
    "footer": "Erstellt mit carecover {version} am {made_at} aus dem Fall „{case}“. Alles darin lässt sich aus dem "
    "Fallordner neu berechnen.",
    "status_exposed": "Der Schlüssel der CA gilt als offengelegt. Einzelne Zertifikate zu sperren heilt das nicht: die "
    "CA stilllegen, ihr Zertifikat sperren, neu aufbauen.",
    "status_no_plan": "Nur Befunde: Es gibt noch keinen Plan.",
    "status_unsigned": "Nicht freigegeben: Der Plan unten ist nicht von zwei verschiedenen Personen unterschrieben.",
    "status_not_verified": "Freigegeben, nicht überprüft: Über die CA ist noch nichts bewiesen.",
    "status_proved": "Die eine Entscheidung ist bewiesen.|Alle {n:,} Entscheidungen sind bewiesen.",
    "status_open": "{proved:,} von {n:,} Entscheidungen sind bewiesen; bei {open:,} fehlt noch etwas.",
    "status_bad": "{bad:,} von {n:,} Entscheidungen sind fehlgeschlagen oder widerlegt: Das muss sich jemand ansehen.",
    "status_dropped": "{n:,} Seriennummer ist aus der neuen Sperrliste verschwunden: Was immer sonst bewiesen ist, das "
    "muss zuerst behoben werden.|{n:,} Seriennummern sind aus der neuen Sperrliste verschwunden: Was immer sonst "
    "bewiesen ist, das muss zuerst behoben werden.",
    "head_case": "Fall",
    "head_ca": "Zertifizierungsstelle",
    "head_config": "Konfigurationszeichenfolge",
    "head_certificate": "CA-Zertifikat, SHA-256",
    "head_backup": "Letzte gute Sicherung",
    "head_failure": "Ausfall",
    "head_restored": "Wiederherstellung",
    "head_key": "CA-Schlüssel offengelegt",
    "head_plan": "Prüfsumme des Plans",
    "head_journal": "Kopf des Journals",
    "head_version": "Erstellt mit",
    "head_made_at": "Erstellt am",
    "head_zone": "Zeitzone des Falls",
    "authors": "Verfasst von",
    "authors_prompt": "Wer dies geschrieben hat, wer es freigegeben hat und wer es lesen darf.",
    "key_yes": "ja",
    "key_no": "nein, laut Angabe der Verantwortlichen",
    "key_unknown": "keine Angabe",
    "summary": "Zusammenfassung",
    "summary_what": "Die Zertifizierungsstelle ging verloren und wurde aus ihrer letzten Sicherung wiederhergestellt. "
    "Was sie seither ausgestellt und gesperrt hatte, steht nicht in ihrer Datenbank: Diese Zertifikate funktionieren "
    "überall, und die wiederhergestellte CA weiß nichts von ihnen oder vertraut ihnen wieder.",
    "summary_dates": "Letzte gute Sicherung {backup}, Ausfall {failure}, Wiederherstellung {restored}.",
    "tile_lost": "Zertifikat fehlt in der wiederhergestellten Datenbank|Zertifikate fehlen in der "
    "wiederhergestellten Datenbank",
    "tile_revoked": "Sperrung verloren: Dem Zertifikat wird wieder vertraut|Sperrungen verloren: Den Zertifikaten "
    "wird wieder vertraut",
    "tile_decided": "Entscheidung im Plan|Entscheidungen im Plan",
    "tile_proved": "Entscheidung durch eine neue Sperrliste bewiesen|Entscheidungen durch eine neue Sperrliste "
    "bewiesen",
    "summary_none": "Es wurde nichts gefunden, worin sich die wiederhergestellte CA irrt. Das gilt nur so weit, wie "
    "die Beweismittel reichen: siehe Vollständigkeit.",
    "summary_lost": "Verloren: {text}.",
    "summary_decided": "Entschieden: {text}.",
    "summary_undecided": "Noch gehört keine Entscheidung zu einem Plan.",
    "summary_verdicts": "Überprüft: {text}.",
    "summary_unverified": "Noch ist nichts bewiesen: Kein Ergebnis wurde überprüft.",
    "summary_until": "Bis {until} können Clients noch den letzten alten Listen vertrauen: Zwischenspeicher lassen "
    "sich nicht zurückrufen.",
    "summary_until_past": "Die letzte Sperrliste von vor den Arbeiten endete am {until}: Kein Client kann ihr mehr "
    "vertrauen.",
    "summary_until_unknown": "Bis wann Clients einer alten Sperrliste vertrauen können, ist nicht bekannt: Unter den "
    "Beweismitteln ist keine alte Sperrliste mit geprüfter Signatur.",
    "summary_rehearsed": "Der Plan wurde an einer simulierten CA geprobt: Die Logik wurde an Annahmen geprüft, nie an "
    "Ihrer CA.",
    "summary_owners": "Ein Inhaber ist zu benachrichtigen.|{n:,} Inhaber sind zu benachrichtigen.",
    "summary_replace": "{n:,} benutztes Zertifikat muss ersetzt werden, bevor es gesperrt wird, falls es gesperrt "
    "wird.|{n:,} benutzte Zertifikate müssen ersetzt werden, bevor sie gesperrt werden, falls sie gesperrt werden.",
    "and": ", ",
    "kind_orphaned": "{n:,} verwaistes Zertifikat|{n:,} verwaiste Zertifikate",
    "kind_lost_revocation": "{n:,} verlorene Sperrung|{n:,} verlorene Sperrungen",
    "kind_lost_release": "{n:,} verlorene Aufhebung einer Sperre|{n:,} verlorene Aufhebungen von Sperren",
    "kind_serial_conflict": "{n:,} Seriennummer mit zwei Zertifikaten|{n:,} Seriennummern mit je zwei Zertifikaten",
    "kind_reused_request_id": "{n:,} zweimal vergebene Anforderungs-ID|{n:,} zweimal vergebene Anforderungs-IDs",
    "kind_unaccounted_request": "{n:,} Anforderung ohne Spur|{n:,} Anforderungen ohne Spur",
    "kind_lost_pending": "{n:,} verlorene offene Anforderung|{n:,} verlorene offene Anforderungen",
    "kind_crl_number_regression": "{n:,} zurückgefallene Sperrlistennummer|{n:,} zurückgefallene Sperrlistennummern",
    "kind_lost_ca_certificate": "{n:,} Zertifikat aus einer verlorenen CA-Erneuerung|{n:,} Zertifikate aus einer "
    "verlorenen CA-Erneuerung",
    "kind_suspect_notification": "{n:,} Benachrichtigung, die nicht stimmig ist|{n:,} Benachrichtigungen, die nicht "
    "stimmig sind",
    "action_revoke": "{n:,} zu sperren",
    "action_restore": "{n:,} wieder einzuspielen und gültig zu lassen",
    "action_unrevoke": "{n:,} freizugeben",
    "action_leave": "{n:,} zu belassen und zu beobachten",
    "action_undecided": "{n:,} nicht entschieden",
    "verdict_proved": "{n:,} bewiesen",
    "verdict_pending": "{n:,} ausstehend",
    "verdict_failed": "{n:,} fehlgeschlagen",
    "verdict_contradicted": "{n:,} widerlegt",
    "happened": "Was geschah",
    "events": "Ereignisse in ihrer Reihenfolge",
    "events_lead": "Zeiten in UTC und in {zone}. Die Zeiten des Vorfalls haben Menschen angegeben; alle anderen "
    "wurden aufgezeichnet.",
    "events_lead_utc": "Zeiten in UTC; der Fall nennt keine andere Zone. Die Zeiten des Vorfalls haben Menschen "
    "angegeben; alle anderen wurden aufgezeichnet.",
    "events_none": "Von keinem Ereignis ist die Zeit bekannt.",
    "column_utc": "UTC",
    "column_local": "Ortszeit",
    "column_what": "Was",
    "column_event": "Was",
    "event_backup": "Letzte gute Sicherung",
    "event_failure": "Die CA fiel aus",
    "event_restored": "Die CA wurde wiederhergestellt",
    "event_first_lost": "Das erste Zertifikat, das in der wiederhergestellten Datenbank fehlt, wurde ausgestellt",
    "event_last_lost": "Das letzte Zertifikat, das in der wiederhergestellten Datenbank fehlt, wurde ausgestellt",
    "event_evidence": "Beweismittel eingereicht: {name}|Beweismittel eingereicht: {n:,} Dateien, zuerst {name}",
    "event_signed": "Plan unterschrieben von {person} ({role})",
    "event_rehearsed": "Plan an einer simulierten CA geprobt",
    "event_run": "Bündel ausgeführt: {name}",
    "event_crl": "Sperrliste {number} der CA beginnt",
    "event_crl_delta": "Deltasperrliste {number} der CA beginnt",
    "event_until": "Die letzte alte Sperrliste endet: Von hier an kann ihr kein Client mehr vertrauen",
    "cause": "Ursache",
    "systems": "Betroffene Systeme",
    "custody": "Verbleib der Beweismittel",
    "cause_prompt": "Warum die CA verloren ging, warum die Sicherung so alt war und ob der Schlüssel der CA je in "
    "Gefahr war.",
    "impact": "Auswirkungen",
    "impact_none": "Soweit die Beweismittel reichen, ist kein Zertifikat betroffen.",
    "column_template": "Vorlage",
    "column_requester": "Antragsteller",
    "column_last_end": "Letztes endet (UTC)",
    "impact_infrastructure": "{n:,} der Zertifikate unten gehört zur Infrastruktur (CA, Domänencontroller, OCSP, "
    "Registrierungsstelle oder Wiederherstellungsagent) und muss für sich entschieden werden.|{n:,} der Zertifikate "
    "unten gehören zur Infrastruktur (CA, Domänencontroller, OCSP, Registrierungsstellen oder "
    "Wiederherstellungsagenten) und müssen einzeln entschieden werden.",
    "impact_prompt": "Welche Systeme und Abläufe betroffen waren und wie lange.",
    "impact_lead": "Was eine Sperrung der Zertifikate aus den Befunden träfe. Verwendung und Infrastruktur ergeben "
    "sich aus den Namen der Vorlagen und, wo das Zertifikat gefunden wurde, aus seinem Verwendungszweck.",
    "impact_caption": "Tragweite",
    "replace_lead": "Erst ersetzen, dann sperren: Damit arbeitet gerade etwas, und es bleibt stehen, wenn sie gesperrt "
    "werden. Ob sie es werden, steht bei den Entscheidungen.",
    "replace_caption": "Vor einer Sperrung zu ersetzen",
    "owners_caption": "Zu benachrichtigen: wer die Zertifikate aus den Befunden hat",
    "column_item": "Welche",
    "column_account": "Konto",
    "column_certificates": "Zertifikate",
    "column_infrastructure": "Infrastruktur",
    "column_replace": "Erst zu ersetzen",
    "steps": "Was noch zuerst zu tun ist",
    "steps_none": "Die Beweismittel verlangen nichts mehr, das zuerst zu tun wäre.",
    "steps_caption": "Erste Schritte, der dringendste zuerst",
    "steps_stop": "Halt, und zuerst klären: {step}",
    "steps_stop_more": "{n:,} weitere Sache hält die Arbeit an: siehe „Was noch zuerst zu tun ist“.|{n:,} weitere "
    "Sachen halten die Arbeit an: siehe „Was noch zuerst zu tun ist“.",
    "column_urgency": "Wann",
    "column_step": "Was zu tun ist",
    "column_asks": "Warum",
    "findings": "Befunde",
    "findings_none": "Es gibt keine Befunde.",
    "findings_caption": "Befunde, bei denen gehandelt werden kann",
    "told_lead": "Was keine Seriennummer hat, mit der man handeln könnte, oder wo kein Stapel etwas ausrichtet: zur "
    "Kenntnis zu nehmen.",
    "told_caption": "Befunde zur Kenntnis",
    "suspect_lead": "Diese Benachrichtigungen sind nicht stimmig. Sie gelten als verdächtig: Keine davon ist in diesem "
    "Bericht ein Beweis, und nichts wird ihretwegen vorgeschlagen.",
    "suspect_caption": "Verdächtige Benachrichtigungen: nie ein Beweis",
    "column_request": "Anforderungs-ID",
    "column_suggested": "Vorschlag",
    "column_circumstances": "Umstände",
    "trace_title": "Anforderungen ohne Spur: was hilft und was nicht",
    "trace_lead": "{n:,} Anforderungs-ID wurde vor dem Ausfall vergeben, und nichts zeigt ein Zertifikat dazu, bei dem "
    "man handeln könnte: Es kann ausgestellt worden sein.|{n:,} Anforderungs-IDs wurden vor dem Ausfall vergeben, und "
    "nichts zeigt Zertifikate dazu, bei denen man handeln könnte: Einige können ausgestellt worden sein.",
    "trace_random": "Sie lassen sich nicht sperren. Eine Sperrliste nennt Seriennummern, und die dieser CA enthalten "
    "Zufallsbytes: Niemand kann die Seriennummer aus der Anforderungs-ID berechnen.",
    "trace_string": "Die Seriennummern dieser CA bestehen aus einem festen Anfang, dem Index des CA-Zertifikats und "
    "der Anforderungs-ID: Sie lassen sich ausrechnen, und die wiederhergestellte CA kann genau dieselben noch einmal "
    "vergeben. carecover sperrt keine davon auf Verdacht.",
    "trace_unknown": "Ohne ihre Seriennummern lassen sie sich nicht sperren, und nichts zeigt, wie diese CA sie "
    "bildet.",
    "trace_helps": "Was noch hilft: deterministisches OCSP (Windows, KB2960124). Ein Responder, der die ausgestellten "
    "Seriennummern kennt (Tabelle issued_serials), antwortet auf jede andere mit „unbekannt“, und Clients, die ihn "
    "fragen, lehnen sie ab.",
    "trace_helps_not": "Was nicht hilft: eine neue Sperrliste, die lokale Sperrliste eines Responders (beide brauchen "
    "die Seriennummer) und ein Responder ohne jene Liste, der „gut“ antwortet, wo keine Sperrliste etwas sagt. "
    "Clients, "
    "die nur Sperrlisten lesen, vertrauen einem solchen Zertifikat, bis es endet oder das Zertifikat der CA selbst "
    "gesperrt wird.",
    "trace_search": "Also weiter suchen: im Sicherheitsprotokoll der CA, in Anmeldeereignissen 4768 und "
    "Zertifikatspeichern der Domänencontroller, in Verzeichnissen, Abfragen von Servern und Sicherungen des Postfachs. "
    "Was auftaucht, wird als Beweismittel hinzugefügt.",
    "outages_caption": "Tage, an denen Mails fehlen oder weniger sind als an vergleichbaren Tagen",
    "column_day": "Tag",
    "column_mails": "Mails",
    "column_events": "Ereignisse",
    "column_requests": "Anforderungen in der Datenbank",
    "column_serial": "Seriennummer",
    "column_kind": "Art",
    "column_subject": "Antragstellername",
    "column_ends": "Endet (UTC)",
    "column_confidence": "Gewissheit",
    "column_why": "Warum",
    "column_evidence": "Beweismittel",
    "coverage": "Wie vollständig die Beweismittel sein dürften",
    "coverage_none": "Die Vollständigkeit wurde nicht beurteilt.",
    "column_aspect": "Betrachtet",
    "column_figure": "Gezählt",
    "column_verdict": "Urteil",
    "column_meaning": "Was es bedeutet",
    "decisions": "Entscheidungen und vier Augen",
    "decisions_none": "Es ist keine Entscheidung aufgezeichnet.",
    "decisions_caption": "Entscheidungen",
    "sign_offs_caption": "Unterschriften unter dem Plan",
    "sign_offs_none": "Niemand hat einen Plan unterschrieben.",
    "sign_offs_good": "Zwei verschiedene Personen haben genau diesen Plan unterschrieben.",
    "sign_offs_open": "Der Plan in seinem jetzigen Stand trägt nicht die Unterschriften zweier verschiedener Personen, "
    "einer als Analyst und einer als Prüfer. Jede Änderung eines Plans macht seine Unterschriften ungültig.",
    "column_person": "Person",
    "column_role": "Rolle",
    "column_when": "Wann (UTC)",
    "column_digest": "Unterschriebene Prüfsumme",
    "column_action": "Maßnahme",
    "column_reason": "Grund",
    "column_by": "Entschieden von",
    "column_note": "Bemerkung",
    "column_method": "Wie",
    "method_row": "der Eintrag ist da",
    "method_original": "das Original einspielen",
    "method_dummy": "einen Platzhalter signieren und einspielen",
    "method_none": "nichts zu tun",
    "waivers": "Schriftlich verzichtet",
    "watch": "Beobachtungsliste",
    "watch_lead": "Durch Entscheidung so belassen. Ihnen wird vertraut, bis sie enden.",
    "rehearsal": "Was die Probe zeigte",
    "rehearsal_lead": "Logik an Annahmen geprüft, nie an Ihrer CA. Der Stapel des Plans lief gegen eine simulierte CA, "
    "die aus den Beweismitteln nachgebaut wurde; eine echte kann sich anders verhalten.",
    "rehearsal_none": "Der Plan wurde nicht geprobt.",
    "rehearsal_other_plan": "Geprobt wurde ein früherer Plan (Prüfsumme {digest}), nicht dieser.",
    "phases_caption": "Aufrufe des Stapels",
    "column_phase": "Aufruf",
    "column_code": "Rückgabewert",
    "verdicts_would": "Was die eigene Sperrliste der simulierten CA zeigt: {text}.",
    "assumptions": "Annahmen dahinter (Wortlaut englisch)",
    "rehearsal_open_caption": "Was selbst an der simulierten CA nicht bewiesen wurde",
    "execution": "Ausführung und Beweis",
    "execution_none": "Der Plan wurde nicht ausgeführt, oder nichts davon wurde zur Überprüfung eingereicht.",
    "runs_caption": "Läufe des Stapels",
    "column_run": "Lauf",
    "column_transcript": "Mitschrift, SHA-256",
    "outcomes_caption": "Was über jede Entscheidung bewiesen ist",
    "outcomes_lead": "Bewiesen heißt: Eine von der CA signierte, gültige Sperrliste mit einer Nummer über der letzten "
    "öffentlichen sagt es. Unbewiesene stehen zuerst.",
    "column_ocsp": "OCSP",
    "dates_lead": "{n:,} Zertifikat war vor dem Ausfall gesperrt und erhält ein neues Sperrdatum: certutil -revoke "
    "nimmt keines an.|{n:,} Zertifikate waren vor dem Ausfall gesperrt und erhalten ein neues Sperrdatum: certutil "
    "-revoke nimmt keines an.",
    "dates_signatures": "Eine Signatur mit einem Zeitstempel zwischen den beiden Daten gilt als vor der Sperrung "
    "geleistet und damit als gut: Das zählt bei Codesignatur und signierten Dokumenten. Wo es solche Signaturen gibt, "
    "ist dem Zertifikat auch auf den Clients das Vertrauen zu entziehen.",
    "dates_stolen": "Bei {n:,} davon war der Schlüssel kompromittiert: Was der Dieb zwischen den beiden Daten "
    "signierte, gilt nun als vom Inhaber. Nennen Sie allen, die sich auf solche Signaturen verlassen, das alte Datum.",
    "dates_held": "{n:,} davon waren vorläufig gesperrt: Zwischen der Wiederherstellung und der neuen Sperrliste galt "
    "diese Sperre nicht.",
    "dates_caption": "Sperrdaten, alt und neu",
    "date_to_come": "noch nicht",
    "column_old_date": "Vor dem Ausfall (UTC)",
    "column_new_date": "Nach der neuen Sperrliste (UTC)",
    "column_between": "Tage dazwischen",
    "places_lead": "Es sind zwei getrennte Beweise: Was die CA schrieb, ist oben bewiesen; was Clients abrufen können, "
    "ist hier bewiesen, Ort für Ort. Ein Client mit einer alten Liste oder Antwort muss erst wieder nachsehen, wenn "
    "sie endet.",
    "places_current": "An {n:,} von {of:,} Orten wurde die neue Liste oder Antwort abgerufen.",
    "places_caption": "Sichtbarkeit: wo Clients fragen, und bis wann sie einer alten Antwort glauben können",
    "place_base": "Basissperrliste",
    "place_delta": "Deltasperrliste",
    "place_ocsp": "OCSP",
    "current_yes": "ja",
    "current_no": "nein",
    "current_unknown": "nicht gesehen",
    "column_place_kind": "Art",
    "column_key": "CA-Schlüssel",
    "column_current": "Neue dort",
    "column_until": "Alte bis (UTC)",
    "column_url": "Adresse",
    "column_seen": "Dort abgerufen",
    "changes_lost": "{n:,} Seriennummer fiel aus der neuen Sperrliste, ohne dass es jemand geplant hatte: Clients "
    "halten das Zertifikat für gültig.|{n:,} Seriennummern fielen aus der neuen Sperrliste, ohne dass es jemand "
    "geplant hatte: Clients halten diese Zertifikate für gültig.",
    "changes_kept": "Aus der neuen Sperrliste fiel nichts, was darin stehen müsste.",
    "changes_caption": "Alte und neue Sperrliste, Eintrag für Eintrag",
    "column_change": "Änderung",
    "column_from_to": "Listen",
    "column_reasons": "Grund",
    "lint_caption": "Was die Sperrlisten anders machen als RFC 5280 oder AD CS",
    "column_severity": "Schwere",
    "column_rule": "Regel",
    "column_log": "Protokoll",
    "column_database": "Datenbank",
    "column_crl": "Sperrliste",
    "column_cdp": "Verteilungspunkt",
    "crls_caption": "Sperrlisten unter den Beweismitteln",
    "column_number": "Nummer",
    "column_begins": "Beginnt (UTC)",
    "column_entries": "Einträge",
    "column_signature": "Von dieser CA signiert",
    "column_base": "Art",
    "base": "Basis",
    "delta": "Delta",
    "yes": "ja",
    "no": "nicht gezeigt",
    "risks": "Offene Risiken",
    "risk_unseen": "Zertifikate, die kein Beweismittel nennt. Dass eine Mail fehlt, beweist nie, dass ein Zertifikat "
    "fehlt.",
    "risk_unseen_gaps": "Bei der Vollständigkeit oben gibt es {n:,} Lücke oder offene Frage.|Bei der Vollständigkeit "
    "oben gibt es {n:,} Lücken und offene Fragen.",
    "risk_until": "Clients mit einer alten Sperrliste im Zwischenspeicher können einem gesperrten Zertifikat bis "
    "{until} vertrauen.",
    "risk_until_unknown": "Clients mit einer alten Sperrliste im Zwischenspeicher können einem gesperrten Zertifikat "
    "vertrauen, bis sie endet; wann das ist, zeigen die Beweismittel nicht.",
    "risk_ocsp": "OCSP-Antworten und die Zwischenspeicher der Responder haben eigene Zeiten; sie wurden hier nicht "
    "untersucht.",
    "risk_ocsp_seen": "OCSP-Antworten wurden untersucht, soweit sie eingereicht wurden; andere Responder und "
    "Zwischenspeicher haben eigene Zeiten.",
    "risk_trace": "{n:,} Anforderung hat keine Spur: Wurde sie ausgestellt, wird ihrem Zertifikat vertraut, und es "
    "lässt sich nicht sperren (siehe Befunde).|{n:,} Anforderungen haben keine Spur: Was davon ausgestellt wurde, dem "
    "wird vertraut, und es lässt sich nicht sperren (siehe Befunde).",
    "risk_dropped": "{n:,} Seriennummer ist aus der neuen Sperrliste verschwunden.|{n:,} Seriennummern sind aus der "
    "neuen Sperrliste verschwunden.",
    "risk_redated": "{n:,} Zertifikat ist mit späterem Datum gesperrt als vor dem Ausfall: Ältere Signaturen gelten "
    "wieder.|{n:,} Zertifikate sind mit späterem Datum gesperrt als vor dem Ausfall: Ältere Signaturen gelten wieder.",
    "risk_reused": "{n:,} Anforderungs-ID wurde zweimal vergeben, vor dem Ausfall und nach der Wiederherstellung: "
    "Aufzeichnungen, die Zertifikate nach der Anforderungs-ID führen, verwechseln sie.|{n:,} Anforderungs-IDs wurden "
    "zweimal vergeben, vor dem Ausfall und nach der Wiederherstellung: Aufzeichnungen, die Zertifikate nach der "
    "Anforderungs-ID führen, verwechseln sie.",
    "risk_key_yes": "Der Schlüssel der CA gilt als offengelegt: Gefälschte Zertifikate können jede Seriennummer "
    "tragen, "
    "also kann kein Vergleich mit einer Datenbank vollständig sein.",
    "risk_key_unknown": "Niemand hat angegeben, ob der Schlüssel der CA offengelegt wurde. Wenn ja, hilft all das "
    "nicht: Gefälschte Zertifikate können jede Seriennummer tragen.",
    "risk_watch": "{n:,} Zertifikat wurde so belassen, und ihm wird weiter vertraut (Beobachtungsliste).|{n:,} "
    "Zertifikate wurden so belassen, und ihnen wird weiter vertraut (Beobachtungsliste).",
    "risk_undecided": "{n:,} Befund, bei dem gehandelt werden könnte, ist nicht entschieden.|{n:,} Befunde, bei denen "
    "gehandelt werden könnte, sind nicht entschieden.",
    "risk_waivers": "Auf {n:,} Schutz wurde schriftlich verzichtet (siehe Entscheidungen).|Auf {n:,} "
    "Schutzvorkehrungen "
    "wurde schriftlich verzichtet (siehe Entscheidungen).",
    "risk_dummies": "{n:,} Seriennummer steht durch einen Platzhalter in der Datenbank: Endet er vor dem echten "
    "Zertifikat, fällt die Nummer aus der Sperrliste.|{n:,} Seriennummern stehen durch Platzhalter in der Datenbank: "
    "Endet einer vor dem echten Zertifikat, fällt die Nummer aus der Sperrliste.",
    "risk_rejects": "{n:,} Einheit der Beweismittel war nicht verwendbar; sie kann etwas genannt haben, was hier "
    "fehlt.|{n:,} Einheiten der Beweismittel waren nicht verwendbar; sie können etwas genannt haben, was hier fehlt.",
    "risk_suspect": "{n:,} Benachrichtigung ist nicht stimmig. Wer sie schickte, wollte vielleicht ein gutes "
    "Zertifikat "
    "sperren lassen.|{n:,} Benachrichtigungen sind nicht stimmig. Wer sie schickte, wollte vielleicht gute Zertifikate "
    "sperren lassen.",
    "risk_unproved": "{n:,} Entscheidung ist nicht bewiesen.|{n:,} Entscheidungen sind nicht bewiesen.",
    "risk_baseline": "Die Ausgangssicht reicht bis zur Anforderungs-ID {newest:,}. Was die CA seit deren Export "
    "ausgestellt hat, steht in keinem Befund.",
    "risk_external": "Beteiligte außerhalb der Organisation: Ob sie Sperrungen überhaupt prüfen, ist hier nicht "
    "bekannt.",
    "evidence": "Beweismittel",
    "evidence_none": "Es wurden keine Beweismittel eingereicht.",
    "evidence_lead": "Dateien sind durch ihr SHA-256 bekannt und wurden nie verändert. Einheiten: {units:,} gefunden = "
    "{parsed:,} verwendet + {irrelevant:,} ohne Belang + {duplicate:,} schon gesehen + {rejected:,} abgelehnt.",
    "evidence_identity_broken": "Die Einheiten gehen nicht auf: {units:,} wurden gefunden. Führen Sie carecover check "
    "aus.",
    "evidence_caption": "Verzeichnis und Abrechnung",
    "column_id": "Nr.",
    "column_file": "Datei",
    "column_file_kind": "Art",
    "column_bytes": "Bytes",
    "column_sha256": "SHA-256",
    "column_added": "Hinzugefügt (UTC)",
    "column_units": "Einheiten",
    "column_parsed": "Verwendet",
    "column_irrelevant": "Ohne Belang",
    "column_duplicate": "Schon gesehen",
    "column_rejected": "Abgelehnt",
    "rejects": "Was nicht verwendet werden konnte",
    "rejects_none": "Nichts wurde abgelehnt.",
    "rejects_caption": "Abgelehnte Einheiten der Beweismittel",
    "column_place": "Stelle",
    "column_stage": "Schritt",
    "custody_prompt": "Wer die Beweismittel wo und wann gesichert hat, wer sie verwahrte und wie weit die Uhren falsch "
    "gingen.",
    "method": "Vorgehen und Grenzen",
    "method_1": "Beweismittel werden nach ihrem Inhalt gelesen, nie verändert und durch ihr SHA-256 erkannt. Jede "
    "Einheit ist verwendet, ohne Belang, schon gesehen oder mit Grund abgelehnt; die Summe wird geprüft.",
    "method_2": "Ein Zertifikat wird durch seine Seriennummer, als Zahl verglichen, und durch seinen Hash erkannt. "
    "Anforderungs-IDs sind kein Ausweis: Eine wiederhergestellte CA vergibt sie noch einmal.",
    "method_3": "Es fehlt, was nach den Beweismitteln ausgestellt wurde und was die Datenbank gleich nach der "
    "Wiederherstellung nicht hat, in dem Bereich, den der Export abdeckt.",
    "method_4": "Mail ist nicht authentisch. Mail allein führt nie zum Vorschlag, ein Zertifikat zu sperren, das die "
    "Datenbank als gut führt.",
    "method_5": "Kein Vorschlag wird von selbst umgesetzt: Jede Entscheidung hat eine Person, eine Zeit und einen "
    "Grund, "
    "und zwei verschiedene Personen unterschreiben die Prüfsumme des ganzen Plans.",
    "method_6": "Das Journal ist eine Kette von SHA-256-Prüfsummen: Eine Änderung an einem älteren Eintrag fällt auf. "
    "Dass sein Ende abgeschnitten wurde, zeigt nur der Vergleich mit dem Kopf, der hier gedruckt ist.",
    "method_7": "Grenzen: Nichts hier wurde an einer echten CA erprobt, bevor es auf Ihrer lief; wie eine CA "
    "antwortet, "
    "wo die Dokumente von Microsoft schweigen, ist angenommen und in der Dokumentation so benannt.",
    "method_8": "Verdächtige Benachrichtigungen werden gezeigt, nie gezählt: Eine Mail, die nicht stimmig ist, beweist "
    "nichts.",
    "method_9": "Die Zahl in Klammern hinter einer Überschrift zählt ihre Zeilen und nennt die Tabelle des Falls, aus "
    "der sie stammen; carecover table CASE NAME gibt sie ganz.",
    "method_recorded": "Spalten mit diesem Zusatz stehen im Wortlaut der Tabellen des Falls, der immer englisch ist: "
    "wie aufgezeichnet.",
    "reasons_caption": "Sperrgründe",
    "column_designation": "Bezeichnung",
    "column_use": "Wann er gilt",
    "lessons": "Lehren und Maßnahmen",
    "lessons_prompt": "Was sich ändert, wer dafür sorgt und bis wann: häufigere Sicherungen, ein Exit-Modul, das "
    "Zertifikate aufbewahrt, Ereignisfilter, Aufbewahrung der Mails, geübte Wiederherstellung.",
    "table": "Tabelle",
    "page": "Seite",
    "of": "von",
    "picture": "Zeitachse der Lücke",
    "recorded": "teils englisch, wie aufgezeichnet",
    "notes": "Anm.",
    "and_more": "und {{n}} weitere",
    "withheld": "in dieser Ausgabe weggelassen",
    "head_readers": "Für",
    "readers_all": "Leitung: {leadership}; Recht: alles außer {not_legal}; Technik: alles",
    "readers_leadership": "Leitung; der ganze Bericht hat {n:,} Abschnitte",
    "readers_legal": "Recht; der ganze Bericht hat {n:,} Abschnitte",
    "readers_technical": "Technik; dies ist der ganze Bericht",
    "new_crls_caption": "Nach der Arbeit eingereichte Sperrlisten",
    "head_edition": "Ausgabe",
    "edition_full": "vollständig",
    "edition_redacted": "für Außenstehende: Namen sind Pseudonyme, freier Text ist weggelassen",
    "classification": "Einstufung",
    "approvers": "Freigegeben von",
    "event_first_mail": "Erste Mail der CA nach der Wiederherstellung",
    "event_first_decision": "Erste Entscheidung aufgezeichnet",
    "column_signed": "Unterschrift",
    "column_fingerprint": "Schlüssel, SHA-256",
    "signed_key": "mit einem Schlüssel",
    "signed_name": "nur mit Namen",
    "signed_by_name": "{n:,} der Unterschriften ist ein getippter Name: Nichts beweist, wer das war.|{n:,} der "
    "Unterschriften sind getippte Namen: Nichts beweist, wer das war.",
    "log_lead": "Jede Handlung ist eine Zeile des Journals, und jede Zeile enthält die Prüfsumme der vorigen. Der oben "
    "gedruckte Kopf hält alles bis zu diesem Bericht fest.",
    "log_caption": "Verwahrungsprotokoll: die neuesten Handlungen des Journals",
    "stamps_none": "Im Fall liegt kein Zeitstempel einer Zeitstempelstelle (RFC 3161): Wann etwas geschah, sagt allein "
    "die Uhr des Rechners.",
    "stamps_lead": "Eine Zeitstempelstelle (RFC 3161) hat unterschrieben, dass das Journal zu den Zeiten unten vorlag, "
    "mit allem, was es bis dahin sagte. Was nach Handlung {n:,} kam, hat keinen solchen Stempel: Seine Zeiten sind die "
    "der Uhr des Rechners.",
    "stamps_caption": "Zeitstempel des Journals",
    "stamps_early": "{n:,} davon nennt eine frühere Zeit, als der Rechner für das Gestempelte aufschrieb: Eine der "
    "beiden Uhren ging falsch.|{n:,} davon nennen eine frühere Zeit, als der Rechner für das Gestempelte aufschrieb: "
    "Eine der beiden Uhren ging falsch.",
    "column_stamped": "Lag vor (UTC)",
    "column_up_to": "Bis Handlung",
    "column_head": "Gestempelter Kopf beginnt",
    "column_authority": "Zeitstempelstelle",
    "column_kept": "Eingereicht (UTC)",
    "column_act": "Handlung",
    "column_entry": "Prüfsumme beginnt",
    "column_command": "Befehl",
    "column_state": "Stand",
    "dummies_caption": "Platzhalter, die die CA signiert hat; ein übriger ist gefährlich, bis er gesperrt oder "
    "vernichtet ist",
    "risk_leftover": "{n:,} Platzhalter ist übrig: Er ist ein Zertifikat dieser CA, bis er gesperrt oder jede Kopie "
    "vernichtet ist.|{n:,} Platzhalter sind übrig: Sie sind Zertifikate dieser CA, bis sie gesperrt oder alle Kopien "
    "vernichtet sind.",
    "monitor": "Von nun an zu beobachten",
    "monitor_1": "Jede neue Sperrliste der CA: Ihre Nummer wächst, und jede Seriennummer des Plans bleibt darauf, bis "
    "das Zertifikat endet.",
    "monitor_2": "Jeder Verteilungspunkt und Responder: Abgerufen wird dort die neueste Liste.",
    "monitor_3": "Verwendung der Zertifikate auf der Beobachtungsliste und von Seriennummern, die die Datenbank nicht "
    "kennt.",
    "monitor_4": "Mails und Ereignisse, die später auftauchen: zum Fall hinzufügen und die Befunde neu ansehen.",
    "lessons_caption": "Lehren und Maßnahmen",
    "column_lesson": "Was sich ändert",
    "column_owner": "Verantwortlich",
    "column_due": "Bis",
    "other": "Andere Erklärungen, die erwogen wurden",
    "other_1": "Ein fehlendes Zertifikat kann aus der Datenbank gelöscht worden sein, oder seine Vorlage hält es "
    "heraus: "
    "Dann ging durch die Wiederherstellung nichts verloren. Was vor der Sicherung ausgestellt wurde, ist so "
    "gekennzeichnet.",
    "other_2": "Eine Mail kann gefälscht sein oder zu einer anderen CA gleichen Namens gehören: Befunde, die nur auf "
    "Mails beruhen, sagen es, und nicht stimmige Benachrichtigungen zählen nichts.",
    "other_3": "Eine Anforderungs-ID ohne Spur kann eine fehlgeschlagene, abgelehnte oder offene Anforderung sein und "
    "kein Zertifikat.",
    "other_4": "Ein Tag ohne Mails kann ein Tag ohne Zertifikate sein: Solche Tage werden mit ähnlichen und mit den "
    "Protokollen verglichen.",
    "other_5": "Von Menschen angegebene Zeiten können falsch sein: Was von ihnen abhängt, verschiebt sich mit ihnen.",
    "appendices": "Anhänge",
    "appendices_lead": "Die Tabellen unten sind alles, was dieser Bericht zählt. Sie werden daneben abgegeben, als "
    "eine "
    "Arbeitsmappe (report --output FILE.xlsx) oder als CSV-Dateien (FILE.zip); das Bündel mit revoke.cmd und undo.cmd "
    "liegt dort, wohin es ausgegeben wurde.",
    "tables_caption": "Tabellen des Falls",
    "column_table": "Tabelle",
    "column_rows": "Zeilen",
    "column_row": "Eine Zeile ist",
    "glossary": "Die Wörter dieses Berichts.",
    "term_orphan": "Verwaistes Zertifikat",
    "meaning_orphan": "Von der CA ausgestellt, in ihrer wiederhergestellten Datenbank nicht vorhanden: Es funktioniert "
    "und lässt sich so nicht sperren.",
    "term_baseline": "Ausgangssicht",
    "meaning_baseline": "Die Sicht auf die Datenbank gleich nach der Wiederherstellung, vor jeder Reparatur.",
    "term_dummy": "Platzhalter",
    "meaning_dummy": "Ein Zertifikat, das nur signiert wurde, um eine Seriennummer in die Datenbank zu bringen, damit "
    "sie gesperrt werden kann.",
    "term_plan": "Plan",
    "meaning_plan": "Die Entscheidungen in ihrer Reihenfolge, eingefroren; bekannt durch ihre Prüfsumme, die zwei "
    "Personen unterschreiben.",
    "term_bundle": "Bündel",
    "meaning_bundle": "Der Ordner mit den Stapeldateien, die einen Plan auf der CA ausführen.",
    "term_pin": "Festlegen",
    "meaning_pin": "Die Prüfung jedes Platzhalters, und sein Hash im Stapel, bevor etwas eingespielt wird.",
    "term_crl": "Sperrliste (CRL)",
    "meaning_crl": "Die signierte Liste der Seriennummern, denen nicht mehr zu vertrauen ist.",
    "term_ocsp": "OCSP",
    "meaning_ocsp": "Das Protokoll, mit dem ein Client einen Responder nach einer Seriennummer fragt.",
    "term_hold": "Vorläufige Sperre",
    "meaning_hold": "Eine Sperrung auf Zeit; die einzige, die sich aufheben lässt.",
    "step_hour": "Stunde",
    "step_six hours": "sechs Stunden",
    "step_day": "Tag",
    "step_week": "Woche",
    "step_four weeks": "vier Wochen",
    "step_year": "Jahr",
    "mark_backup": "Sicherung",
    "mark_failure": "Ausfall",
    "mark_restored": "wieder da",
    "series_known": "der wiederhergestellten Datenbank bekannt",
    "series_lost": "fehlt darin",
    "series_revoked": "Sperrung verloren",
    "axis_certificates": "Zertifikate je {step}",
    "axis_mails": "Mails je Tag",
    "drawn_nothing": "Noch nichts zu zeichnen: Weder ein datiertes Zertifikat noch eine Zeit des Vorfalls ist bekannt.",
    "drawn_no_marks": "Zeiten des Vorfalls sind nicht bekannt",
    "drawn_aside": " {n:,} frühere oder spätere sind nicht gezeichnet.",
    "drawn": "Zertifikate je {step} von {start} bis {end}: {known:,}, die die wiederhergestellte Datenbank kennt, "
    "{lost:,}, die sie nicht kennt, und {revoked:,} verlorene Sperrungen. Marken: {marks}.",
    "drawn_more": " und {n:,} weiteren",
    "drawn_missing": "Mails fehlen oder sind weniger als üblich am {days}",
    "drawn_none_missing": "kein Tag fällt auf",
    "drawn_mails": " Mails je Tag, zusammen {n:,}: {missing}.",
}

GERMAN_VALUES: Final = {
    "orphaned": "verwaist",
    "lost revocation": "verlorene Sperrung",
    "lost release": "verlorene Aufhebung",
    "serial conflict": "doppelte Seriennummer",
    "reused request id": "Anforderungs-ID doppelt",
    "unaccounted request": "Anforderung ohne Spur",
    "lost pending": "verlorene offene Anforderung",
    "crl number regression": "Sperrlistennummer zurückgefallen",
    "lost ca certificate": "verlorene CA-Erneuerung",
    "suspect notification": "verdächtige Benachrichtigung",
    "revoke": "sperren",
    "restore": "einspielen",
    "unrevoke": "freigeben",
    "leave": "belassen",
    "undecided": "nicht entschieden",
    "proved": "bewiesen",
    "pending": "ausstehend",
    "failed": "fehlgeschlagen",
    "contradicted": "widerlegt",
    "good": "gut",
    "gap": "Lücke",
    "unknown": "unbekannt",
    "planned": "geplant",
    "unexpected": "unerwartet",
    "expired": "abgelaufen",
    "stop": "Halt",
    "before start": "vor dem Start",
    "now": "jetzt",
    "later": "später",
    "high": "hoch",
    "medium": "mittel",
    "low": "gering",
    "added": "hinzugekommen",
    "dropped": "weggefallen",
    "reason": "Grund",
    "date": "Datum",
    "machine": "Rechner",
    "user": "Person oder Dienst",
    "analyst": "Analyst",
    "reviewer": "Prüfer",
    "error": "Fehler",
    "warning": "Warnung",
    "notice": "Hinweis",
    "pinned": "festgelegt",
    "leftover": "übrig",
    "revoked": "gesperrt",
    "destroyed": "vernichtet",
    "certificate": "Zertifikat",
    "crl": "Sperrliste",
    "view csv": "Datenbankexport (CSV)",
    "view text": "Datenbankexport (Text)",
    "Takes a certificate off hold; works only after reason 6.": "Hebt eine vorläufige Sperre auf; nur nach Grund 6.",
    "No reason is given; the CRL entry carries no reason code.": "Kein Grund genannt; der Eintrag trägt keinen Code.",
    "The private key is, or may be, in the wrong hands.": "Der private Schlüssel ist oder kann in falschen Händen "
    "sein.",
    "The key of a CA is, or may be, in the wrong hands (CA certificates only).": "Der Schlüssel einer CA ist oder kann "
    "in falschen Händen sein (nur für CA-Zertifikate).",
    "The holder left the organisation or changed name or role.": "Der Inhaber hat die Organisation verlassen oder "
    "Namen "
    "oder Rolle gewechselt.",
    "Another certificate has taken this one's place.": "Ein anderes Zertifikat ist an seine Stelle getreten.",
    "The service or device no longer exists.": "Den Dienst oder das Gerät gibt es nicht mehr.",
    "Suspended; the only reason that can be undone.": "Ausgesetzt; der einzige Grund, der sich aufheben lässt.",
    "A delta CRL's mark that a hold ended; read, never written.": "Zeichen einer Deltasperrliste, dass eine vorläufige "
    "Sperre endete; wird gelesen, nie geschrieben.",
    "The certificate had expired by the restore: no client accepts it any more.": "Das Zertifikat war bei der "
    "Wiederherstellung abgelaufen: Kein Client nimmt es mehr an.",
    "It was issued before the backup: the restore did not lose it. Its template keeps certificates out of the database "
    "(DONOTPERSISTINDB), its row was deleted, or the time of the backup is wrong.": "Es wurde vor der Sicherung "
    "ausgestellt: Die Wiederherstellung hat es nicht verloren. Seine Vorlage hält Zertifikate aus der Datenbank heraus "
    "(DONOTPERSISTINDB), sein Eintrag wurde gelöscht, oder die Zeit der Sicherung ist falsch.",
    "It was revoked between backup and failure.": "Es wurde zwischen Sicherung und Ausfall gesperrt.",
    "It was put on hold between backup and failure.": "Es wurde zwischen Sicherung und Ausfall vorläufig gesperrt.",
    "The CA makes serials of a constant prefix and the request ID: the restored CA can issue this very serial to "
    "somebody else.": "Die CA bildet Seriennummern aus einem festen Anfang und der Anforderungs-ID: Die "
    "wiederhergestellte CA kann genau diese an jemand anderen vergeben.",
    "The restored CA has handed its request ID out again.": "Die wiederhergestellte CA hat seine Anforderungs-ID noch "
    "einmal vergeben.",
    "Only mails say so, and a mail can be forged.": "Das sagen nur Mails, und eine Mail kann gefälscht sein.",
    "It was signed with an earlier key of the CA: its serial belongs on that key's CRL.": "Es wurde mit einem früheren "
    "Schlüssel der CA signiert: Seine Seriennummer gehört auf dessen Sperrliste.",
    "It was signed under another CA certificate than the newest.": "Es wurde unter einem anderen als dem neuesten "
    "CA-Zertifikat signiert.",
}
