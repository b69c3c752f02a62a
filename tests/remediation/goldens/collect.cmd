@echo off
setlocal EnableExtensions DisableDelayedExpansion
rem Written by carecover. It reads from the CA and writes into its own folder; nothing else is changed.
set "ERRORLEVEL="
cd /d "%~dp0"
set "HERE=%~dp0"
set "CERTUTIL=%SystemRoot%\System32\certutil.exe"
set "FIND=%SystemRoot%\System32\find.exe"
set "FC=%SystemRoot%\System32\fc.exe"
set "WHOAMI=%SystemRoot%\System32\whoami.exe"
set "WEVTUTIL=%SystemRoot%\System32\wevtutil.exe"
set "REG=%SystemRoot%\System32\reg.exe"
set "TZUTIL=%SystemRoot%\System32\tzutil.exe"
set "ENROLL=%SystemRoot%\System32\CertSrv\CertEnroll"
set "SIZE=50000"
set "ALONE="
set "NEWEST="
set "NEWCERT="
set "TROUBLE="
set "WHOLE="
set "ANSWERS="
set "DENIED="
set "PAGES=0"
set "CERTS=0"
set "LISTS=0"
set "DELTAS=0"
set "CRLTABLE=no"
set "COPIED=none"
set "REGISTRY=no"
set "MODULE=none"
set "SECURITY=no"
set "APPLICATION=no"
if /i not "%~1"=="GO" goto :usage
if not "%~3"=="" goto :usage
if "%~2"=="" goto :place
for /f "delims=0123456789" %%a in ("%~2") do goto :usage
set "NEWEST=%~2"
goto :place

:usage
echo collect.cmd GO           exports from this CA, read-only, into a new folder beside this file
echo collect.cmd GO NUMBER    the same, where the newest request ID has to be told: see certsrv.msc
echo Without the word GO nothing is done. README.txt says what is exported, and when to do it.
exit /b 2

:place
set "WHY=kit"
if not exist "collect.cmd" goto :unlogged
if not exist "README.txt" goto :unlogged
"%FIND%" "carecover collect kit" "README.txt" >nul
if not "%ERRORLEVEL%"=="0" goto :unlogged
set "WHY=bits"
if defined PROCESSOR_ARCHITEW6432 goto :unlogged
set "WHY=elevation"
set "OUT=answer.txt"
call :doubt
"%WHOAMI%" /groups > "%OUT%" 2>&1
if not "%ERRORLEVEL%"=="0" goto :plain
"%FIND%" "S-1-16-12288" "%OUT%" >nul
if "%ERRORLEVEL%"=="0" goto :elevated
"%FIND%" "S-1-16-16384" "%OUT%" >nul
if not "%ERRORLEVEL%"=="0" goto :plain
:elevated
del "%OUT%"
set "WHY=full"
set "DIR=out"
if exist "%DIR%" set "DIR=out2"
if exist "%DIR%" set "DIR=out3"
if exist "%DIR%" set "DIR=out4"
if exist "%DIR%" set "DIR=out5"
if exist "%DIR%" set "DIR=out6"
if exist "%DIR%" set "DIR=out7"
if exist "%DIR%" set "DIR=out8"
if exist "%DIR%" set "DIR=out9"
if exist "%DIR%" goto :unlogged
set "IN=%DIR%\evidence"
set "COPIES=%IN%\certenroll"
set "NOTES=%DIR%\notes"
set "LOG=%NOTES%\collect.log"
set "OUT=%NOTES%\answer.txt"
set "ERRORS=%NOTES%\errors.txt"
set "MARKER=%IN%\INCOMPLETE.txt"
set "HASHES=%DIR%\hashes.txt"
mkdir "%DIR%"
mkdir "%IN%"
mkdir "%COPIES%"
mkdir "%NOTES%"
call :doubt
call :start 2>>"%ERRORS%"
set "RC=%ERRORLEVEL%"
if defined ALONE exit /b %RC%
set "WHY=folder"
goto :unlogged

:plain
if exist "%OUT%" del "%OUT%"
:unlogged
if "%WHY%"=="kit" echo REFUSED: this is not the folder of the kit. Copy the whole folder to a local disk and run it there.
if "%WHY%"=="bits" echo REFUSED: this is a 32-bit command prompt. Open the command prompt of Windows itself, with Run as administrator.
if "%WHY%"=="elevation" echo REFUSED: not elevated, or this folder cannot be written. Open the command prompt with Run as administrator.
if "%WHY%"=="full" echo REFUSED: there are nine exports here already, out to out9. Take them away, or use a fresh copy of the kit.
if "%WHY%"=="folder" echo REFUSED: the folder %DIR% cannot be written. Is the disk full, or the medium read-only? Use a local disk.
exit /b 3

:start
set "ALONE=1"
set "WHY=folder"
>>"%LOG%" echo @@CR collect 50000
>>"%LOG%" echo @@CR clock %DATE% %TIME%
"%FIND%" "@@CR collect" "%LOG%" >nul
if not "%ERRORLEVEL%"=="0" goto :unlogged
echo Exporting into %DIR%. Nothing is changed on this CA. With a large database this takes a while.
call :events
call :enroll
call :registry
call :notes
call :service
if exist "%OUT%" del "%OUT%"
call :hashes
goto :summary

:events
set "STEP=security"
set "FILE=%IN%\security.evtx"
call :doubt
"%WEVTUTIL%" epl Security "%HERE%%FILE%" "/q:*[System[(EventID=1102 or (EventID>=4868 and EventID<=4900))]]" >> "%LOG%" 2>&1
set "RC=%ERRORLEVEL%"
call :kept
if "%RC%"=="0" set "SECURITY=yes"
set "STEP=application"
set "FILE=%IN%\application.evtx"
call :doubt
"%WEVTUTIL%" epl Application "%HERE%%FILE%" "/q:*[System[Provider[@Name='Microsoft-Windows-CertificationAuthority']]]" >> "%LOG%" 2>&1
set "RC=%ERRORLEVEL%"
call :kept
if "%RC%"=="0" set "APPLICATION=yes"
exit /b 0

:enroll
call :doubt
copy /y "%ENROLL%\*.crl" "%COPIES%" >> "%LOG%" 2>&1
set "RC=%ERRORLEVEL%"
>>"%LOG%" echo @@CR certenroll-crl %RC%
if "%RC%"=="0" set "COPIED=copied"
call :doubt
copy /y "%ENROLL%\*.crt" "%COPIES%" >> "%LOG%" 2>&1
set "RC=%ERRORLEVEL%"
>>"%LOG%" echo @@CR certenroll-crt %RC%
exit /b 0

:registry
set "STEP=registry"
set "FILE=%IN%\registry.reg"
call :doubt
"%REG%" export "HKLM\SYSTEM\CurrentControlSet\Services\CertSvc\Configuration" "%HERE%%FILE%" >> "%LOG%" 2>&1
set "RC=%ERRORLEVEL%"
call :kept
if "%RC%"=="0" set "REGISTRY=yes"
call :getreg "CA" "registry-ca.txt"
if not "%RC%"=="0" set "REGISTRY=no"
call :getreg "exit" "registry-exit.txt"
call :getreg "exit\smtp" "registry-smtp.txt"
if not "%RC%"=="0" exit /b 0
set "MODULE=smtp"
call :getreg "exit\smtp\templates" "registry-smtp-templates.txt"
call :getreg "exit\smtp\CRLIssued" "registry-smtp-crlissued.txt"
call :getreg "exit\smtp\Denied" "registry-smtp-denied.txt"
call :getreg "exit\smtp\Imported" "registry-smtp-imported.txt"
call :getreg "exit\smtp\Issued" "registry-smtp-issued.txt"
call :getreg "exit\smtp\Pending" "registry-smtp-pending.txt"
call :getreg "exit\smtp\Revoked" "registry-smtp-revoked.txt"
call :getreg "exit\smtp\Shutdown" "registry-smtp-shutdown.txt"
call :getreg "exit\smtp\Startup" "registry-smtp-startup.txt"
call :getreg "exit\smtp\templates\default\Denied" "registry-smtp-default-denied.txt"
call :getreg "exit\smtp\templates\default\Issued" "registry-smtp-default-issued.txt"
call :getreg "exit\smtp\templates\default\Pending" "registry-smtp-default-pending.txt"
call :getreg "exit\smtp\templates\default\Revoked" "registry-smtp-default-revoked.txt"
exit /b 0

:getreg
set "KEY=%~1"
set "STEP=getreg %KEY%"
set "FILE=%IN%\%~2"
call :doubt
"%CERTUTIL%" -getreg "%KEY%" > "%FILE%" 2>&1
set "RC=%ERRORLEVEL%"
call :kept_text
exit /b 0

:notes
set "STEP=help"
set "FILE=%NOTES%\certutil-help.txt"
call :doubt
"%CERTUTIL%" -v -uSAGE > "%FILE%" 2>&1
set "RC=%ERRORLEVEL%"
call :noted
set "STEP=windows"
set "FILE=%NOTES%\windows-version.txt"
call :doubt
ver > "%FILE%"
set "RC=%ERRORLEVEL%"
call :noted
set "STEP=account"
set "FILE=%NOTES%\account.txt"
call :doubt
"%WHOAMI%" > "%FILE%" 2>&1
set "RC=%ERRORLEVEL%"
call :noted
set "STEP=groups"
set "FILE=%NOTES%\groups.txt"
call :doubt
"%WHOAMI%" /groups > "%FILE%" 2>&1
set "RC=%ERRORLEVEL%"
call :noted
set "STEP=time-zone"
set "FILE=%NOTES%\time-zone.txt"
call :doubt
"%TZUTIL%" /g > "%FILE%" 2>&1
set "RC=%ERRORLEVEL%"
call :noted
exit /b 0

:service
set "STEP=ca-cert"
set "FILE=%NOTES%\newest.cer"
set "CURRENT=%FILE%"
call :doubt
"%CERTUTIL%" -ca.cert "%FILE%" > "%OUT%" 2>&1
set "RC=%ERRORLEVEL%"
call :asked
if not "%RC%"=="0" exit /b 0
set "ANSWERS=1"
set "STEP=ca-info"
set "FILE=%NOTES%\ca-info.txt"
call :doubt
"%CERTUTIL%" -CAInfo certcount > "%FILE%" 2>&1
set "RC=%ERRORLEVEL%"
call :noted
set "INDEX=0"
set "MISSES=0"
:index
call :hand_out
set /a INDEX=INDEX+1
if %INDEX% GEQ 200 goto :indexed
if %MISSES% LSS 3 goto :index
:indexed
"%FC%" /b "%CURRENT%" "%NEWCERT%" >nul
set "RC=%ERRORLEVEL%"
>>"%LOG%" echo @@CR newest-certificate %RC%
if not "%RC%"=="0" set "CERTS=0"
set "STEP=crl-table"
set "FILE=%IN%\crl-table.txt"
call :doubt
"%CERTUTIL%" -gmt -seconds -view -out "CRLRowId,CRLNumber,CRLNameId,CRLMinBase,CRLCount,CRLThisUpdate,CRLNextUpdate,CRLThisPublish,CRLNextPublish,CRLPropagationComplete,CRLPublishFlags,CRLPublishStatusCode" CRL > "%FILE%" 2>&1
set "RC=%ERRORLEVEL%"
call :kept_text
if "%RC%"=="0" set "CRLTABLE=yes"
if "%RC%"=="0" goto :pages
set "STEP=crl-table-whole"
call :doubt
"%CERTUTIL%" -gmt -seconds -view CRL > "%FILE%" 2>&1
set "RC=%ERRORLEVEL%"
call :kept_text
if "%RC%"=="0" set "CRLTABLE=yes"
goto :pages

:hand_out
set "STEP=ca-cert-%INDEX%"
set "FILE=%IN%\ca-%INDEX%.cer"
call :doubt
"%CERTUTIL%" -ca.cert "%FILE%" %INDEX% > "%OUT%" 2>&1
set "RC=%ERRORLEVEL%"
call :asked
if "%RC%"=="0" set "NEWCERT=%FILE%"
if "%RC%"=="0" set "MISSES=0"
if "%RC%"=="0" set /a CERTS=CERTS+1
if not "%RC%"=="0" set /a MISSES=MISSES+1
set "STEP=crl-%INDEX%"
set "FILE=%IN%\base-%INDEX%.crl"
call :doubt
"%CERTUTIL%" -getcrl "%FILE%" %INDEX% > "%OUT%" 2>&1
set "RC=%ERRORLEVEL%"
call :asked
if "%RC%"=="0" set /a LISTS=LISTS+1
set "STEP=delta-%INDEX%"
set "FILE=%IN%\delta-%INDEX%.crl"
call :doubt
"%CERTUTIL%" -getcrl "%FILE%" %INDEX% delta > "%OUT%" 2>&1
set "RC=%ERRORLEVEL%"
call :asked
if "%RC%"=="0" set /a DELTAS=DELTAS+1
exit /b 0

:pages
if defined NEWEST goto :check_newest
set "STEP=newest"
call :doubt
"%CERTUTIL%" -view -restrict "RequestId==$" -out "RequestID" > "%OUT%" 2>&1
set "RC=%ERRORLEVEL%"
>>"%LOG%" echo @@CR newest %RC%
if not "%RC%"=="0" goto :marked
for /f "tokens=2 delims=()" %%a in (%OUT%) do set "NEWEST=%%a"
if not defined NEWEST goto :marked
for /f "delims=0123456789" %%a in ("%NEWEST%") do goto :no_newest
:check_newest
call :doubt
"%CERTUTIL%" -view -restrict "RequestID=%NEWEST%" -out "RequestID" > "%OUT%" 2>&1
set "RC=%ERRORLEVEL%"
if not "%RC%"=="0" goto :no_newest
"%FIND%" "0x" "%OUT%" >nul
if "%ERRORLEVEL%"=="0" goto :marked
:no_newest
echo The newest request ID is not known, or %NEWEST% is none: the database is asked for in one page.
set "NEWEST="
:marked
>>"%LOG%" echo @@CR newest-request %NEWEST%
>>"%MARKER%" echo THIS EXPORT IS NOT WHOLE. It was interrupted, or a page failed. Do not use it as the baseline.
>>"%MARKER%" echo Run collect.cmd GO again. The lines below are a view without an end: carecover then asks.
>>"%MARKER%" echo Schema:
>>"%MARKER%" echo   Column Name                   Localized Name                Type    MaxLength
>>"%MARKER%" echo   ----------------------------  ----------------------------  ------  ---------
>>"%MARKER%" echo   SerialNumber                  Serial Number                 String  128
>>"%MARKER%" echo Row 1:
>>"%MARKER%" echo   Serial Number: EMPTY
"%FIND%" "Row 1:" "%MARKER%" >nul
if not "%ERRORLEVEL%"=="0" goto :cut
set "FROM=0"
set "PAGE=0"
:page
set /a PAGE=PAGE+1
if %PAGE% GEQ 99999 goto :cut
set "FILE=%IN%\view-%PAGE%.txt"
set "LAST=1"
set "RANGE=RequestID>%FROM%"
if not defined NEWEST goto :ask_page
set /a TO=FROM+SIZE
if %TO% GEQ %NEWEST% goto :ask_page
set "LAST="
set "RANGE=RequestID>%FROM%,RequestID<=%TO%"
:ask_page
call :doubt
"%CERTUTIL%" -gmt -seconds -view -restrict "%RANGE%" -out "Request.RequestID,Request.Disposition,Request.SubmittedWhen,Request.RevokedWhen,Request.RevokedEffectiveWhen,Request.RevokedReason,Request.RequesterName,CertificateHash,CertificateTemplate,SerialNumber,IssuerNameID,NotBefore,NotAfter,DistinguishedName,CommonName" > "%FILE%" 2>&1
set "RC=%ERRORLEVEL%"
>>"%LOG%" echo @@CR page %PAGE% above %FROM% %RC%
if not "%RC%"=="0" goto :page_failed
"%FIND%" "SerialNumber" "%FILE%" >nul
set "RC=%ERRORLEVEL%"
if not "%RC%"=="0" goto :page_failed
if defined LAST goto :last
"%FIND%" "0x" "%FILE%" >nul
if not "%ERRORLEVEL%"=="0" goto :empty
set /a PAGES=PAGES+1
echo Page %PAGE%: requests up to %TO% of %NEWEST%.
set /a FROM=TO
goto :page

:empty
>>"%LOG%" echo @@CR page %PAGE% is empty
del "%FILE%"
set /a FROM=TO
goto :page

:page_failed
echo FAILED: page %PAGE%, requests above %FROM%: certutil %RC%.
if "%RC%"=="-2147023174" goto :cut
if "%RC%"=="-2147024891" set "DENIED=1"
if "%RC%"=="-2147024891" goto :cut
if not defined NEWEST goto :cut
if "%SIZE%"=="5000" goto :cut
set "SIZE=5000"
del "%FILE%"
if exist "%FILE%" goto :cut
echo The rest is asked for in smaller pages.
goto :page

:cut
>>"%LOG%" echo @@CR database cut %PAGES%
if "%PAGES%"=="0" del "%MARKER%"
exit /b 0

:last
set /a PAGES=PAGES+1
del "%MARKER%"
if exist "%MARKER%" goto :cut
set "WHOLE=1"
>>"%LOG%" echo @@CR database whole %PAGES%
exit /b 0

:summary
set "RESULT=0"
echo Exported into %DIR%:
if defined WHOLE echo   database         whole, pages: %PAGES%
if not defined WHOLE echo   database         NOT WHOLE, pages: %PAGES%
echo   CRL table        %CRLTABLE%
echo   CA certificates  %CERTS%
echo   CRLs             base %LISTS%, delta %DELTAS%, from CertEnroll: %COPIED%
echo   registry         %REGISTRY%, exit module: %MODULE%
echo   events           Security %SECURITY%, Application %APPLICATION%
if defined WHOLE goto :rest
set "RESULT=5"
if not defined ANSWERS goto :silent
if defined DENIED echo TO DO: this account may not read the database. Use one with the right Read on the CA, and call it again.
if defined DENIED goto :rest
echo TO DO: the database export was cut. Call collect.cmd GO again, at a quiet hour; it makes a new folder.
echo   If it fails again, tell it the newest request ID that certsrv.msc shows: collect.cmd GO NUMBER
goto :rest
:silent
echo TO DO: the CA did not answer. If its service is not started yet, that is as it should be: keep the folder
echo   %DIR%, and call collect.cmd GO again once it runs. Else see that it runs, and that this account may read it.
goto :logs
:rest
if "%CERTS%"=="0" set "TROUBLE=1"
if "%CERTS%"=="0" echo TO DO: the CA certificates are missing or not all there. Export each from certsrv.msc, properties of the CA.
if "%CRLTABLE%"=="no" set "TROUBLE=1"
if "%CRLTABLE%"=="no" echo TO DO: the CRL table was not exported. Note the CRL numbers from certsrv.msc, Revoked Certificates, properties.
if not "%LISTS%%COPIED%"=="0none" goto :logs
set "TROUBLE=1"
echo TO DO: no CRL was found. Copy the CRLs from the distribution points that clients use.
:logs
if "%REGISTRY%"=="no" set "TROUBLE=1"
if "%REGISTRY%"=="no" echo TO DO: the registry of the CA was not read whole. Export the key CertSvc\Configuration with regedit.
if "%SECURITY%"=="no" set "TROUBLE=1"
if "%SECURITY%"=="no" echo TO DO: the Security log was not exported. Save it from Event Viewer, as it is, as an .evtx file.
if "%APPLICATION%"=="no" set "TROUBLE=1"
if "%APPLICATION%"=="no" echo TO DO: the Application log was not exported. Save it from Event Viewer, as it is, as an .evtx file.
if "%MODULE%"=="none" echo NOTE: this CA has no SMTP exit module, or its settings could not be read.
if not exist "%HASHES%" set "TROUBLE=1"
if not exist "%HASHES%" echo TO DO: the files could not be hashed. Do it where you take them: certutil -hashfile FILE SHA256
if not exist "%HASHES%" goto :end
"%FIND%" "0x8" "%HASHES%" >nul
if not "%ERRORLEVEL%"=="0" goto :sealed
set "TROUBLE=1"
echo TO DO: not every file could be hashed. Look for 0x8 in %HASHES%.
:sealed
echo Write this down, and compare it where the files arrive:
"%CERTUTIL%" -hashfile "%HASHES%" SHA256
:end
if "%RESULT%%TROUBLE%"=="01" set "RESULT=1"
>>"%LOG%" echo @@CR end %RESULT%
if "%RESULT%"=="0" echo DONE: everything was exported.
if not "%RESULT%"=="0" echo NOT EVERYTHING was exported: see TO DO above. What the tools said is in %LOG%.
echo Next: carry the folder %DIR% away, and hand it in with: carecover add CASE %DIR%\evidence
exit /b %RESULT%

:doubt
exit /b 1

:asked
if "%RC%"=="0" goto :kept
type "%OUT%" >> "%LOG%" 2>&1
goto :kept

:kept_text
if "%RC%"=="0" goto :kept
if exist "%FILE%" type "%FILE%" >> "%LOG%" 2>&1
:kept
if exist "%FILE%" goto :there
if "%RC%"=="0" set "RC=1"
:there
>>"%LOG%" echo @@CR %STEP% %RC%
if "%RC%"=="0" exit /b 0
if exist "%FILE%" del "%FILE%"
exit /b 0

:noted
>>"%LOG%" echo @@CR %STEP% %RC%
exit /b 0

:hashes
for %%f in (%IN%\*) do "%CERTUTIL%" -hashfile "%%f" SHA256 >> "%HASHES%" 2>&1
for %%f in (%COPIES%\*) do "%CERTUTIL%" -hashfile "%%f" SHA256 >> "%HASHES%" 2>&1
exit /b 0
