@echo off
setlocal EnableExtensions DisableDelayedExpansion
rem Written by carecover from a plan that two people signed. Do not edit: write the bundle again.
set "ERRORLEVEL="
cd /d "%~dp0"
set "PLAN=cb78e947b83ae844bd13b1e2454b8631cbf4132ed59b9353e9ccf3484e3322cd"
set "CASHA=0c703d59c1e12776db09aad7feeef992574716969539ca2a8e23770072b232ee"
set "CASPACED=0c 70 3d 59 c1 e1 27 76 db 09 aa d7 fe ee f9 92 57 47 16 96 95 39 ca 2a 8e 23 77 00 72 b2 32 ee"
set "CACONFIG=CA01\Corp Issuing CA (1)"
set "NEWEST=12"
set "LASTCRL=41"
set "CERTUTIL=%SystemRoot%\System32\certutil.exe"
set "FIND=%SystemRoot%\System32\find.exe"
set "FC=%SystemRoot%\System32\fc.exe"
set "WHOAMI=%SystemRoot%\System32\whoami.exe"
set "OUT=work\answer.txt"
set "ABORT="
set "ENOUGH="
set "REFUSED="
set "OPTION=unknown"
set "PHASE="
set "PREFIX="
set "FAILS=0"
set "DONE=0"
set "SKIPPED=0"
set "STOPPED=0"
set "LEFT=0"

if /i "%~1"=="preflight" set "PHASE=preflight"
if /i "%~1"=="apply" set "PHASE=apply"
if /i "%~1"=="publish" set "PHASE=publish"
if /i "%~1"=="status" set "PHASE=status"
if not defined PHASE goto :usage
if "%~2"=="" set "OPTION=none"
if /i "%PHASE% %~2"=="apply FIRST" set "OPTION=first"
if /i "%PHASE% %~2"=="publish PARTIAL" set "OPTION=partial"
if "%OPTION%"=="unknown" goto :usage
if not "%~3"=="" goto :usage
goto :alone

:usage
echo revoke.cmd preflight          checks everything and changes nothing
echo revoke.cmd apply [FIRST]      imports and revokes as planned; FIRST changes one certificate and stops
echo revoke.cmd publish [PARTIAL]  writes new CRLs; PARTIAL even where a planned revocation is missing
echo revoke.cmd status             shows what is as planned and changes nothing
echo Without one of these words nothing is done.
exit /b 2

:alone
set "WHY=bundle"
if not exist "manifest.json" goto :unlogged
"%FIND%" "%PLAN%" "manifest.json" >nul
if not "%ERRORLEVEL%"=="0" goto :unlogged
set "WHY=bits"
if defined PROCESSOR_ARCHITEW6432 goto :unlogged
if not exist "logs" mkdir "logs"
if not exist "work" mkdir "work"
if not exist "out" mkdir "out"
set "ALONE="
call :doubt
call :start 2>>"work\errors.txt"
set "RC=%ERRORLEVEL%"
if defined ALONE exit /b %RC%
set "WHY=busy"
goto :unlogged

:start
set "ALONE=1"
set "LOG=logs\carecover-%PREFIX%%PHASE%.log"
set "VIEW=out\%PREFIX%view.txt"
set "WHY=folder"
>>"%LOG%" echo @@CR plan %PLAN%
>>"%LOG%" echo @@CR phase %PHASE% %OPTION%
"%FIND%" "@@CR plan %PLAN%" "%LOG%" >nul
if not "%ERRORLEVEL%"=="0" goto :unlogged
call :doubt
"%WHOAMI%" /groups > "%OUT%" 2>&1
if not "%ERRORLEVEL%"=="0" goto :refused
set "WHY=elevation"
"%FIND%" "S-1-16-12288" "%OUT%" >nul
if "%ERRORLEVEL%"=="0" goto :elevated
"%FIND%" "S-1-16-16384" "%OUT%" >nul
if not "%ERRORLEVEL%"=="0" goto :refused
:elevated
set "WHY=ca-answer"
if exist "work\ca.cer" del "work\ca.cer"
if exist "work\ca.cer" goto :refused
call :doubt
"%CERTUTIL%" -config "%CACONFIG%" -ca.cert "work\ca.cer" > "%OUT%" 2>&1
set "RC=%ERRORLEVEL%"
>>"%LOG%" echo @@CR check ca-cert %RC%
if not "%RC%"=="0" goto :refused
if not exist "work\ca.cer" goto :refused
set "WHY=ca"
"%FC%" /b "work\ca.cer" "ca.cer" >nul
if not "%ERRORLEVEL%"=="0" goto :refused
set "FILE=work\ca.cer"
call :doubt
"%CERTUTIL%" -hashfile "%FILE%" SHA256 > "%OUT%" 2>&1
if not "%ERRORLEVEL%"=="0" goto :refused
"%FIND%" "%CASHA%" "%OUT%" >nul
if "%ERRORLEVEL%"=="0" goto :right_ca
"%FIND%" "%CASPACED%" "%OUT%" >nul
if not "%ERRORLEVEL%"=="0" goto :refused
:right_ca

if "%PHASE%"=="publish" goto :publish
if "%PHASE%"=="status" goto :status
set "DO=files"
call :items
set "WHY=files"
if defined REFUSED goto :refused
call :database
if defined REFUSED goto :refused
if "%PHASE%"=="apply" goto :apply
echo preflight: all is well, nothing was changed.
>>"%LOG%" echo @@CR end 0
exit /b 0

:apply
set "DO=apply"
call :items
goto :finish

:status
if exist "%VIEW%" del "%VIEW%"
set "DO=status"
call :items
goto :finish

:publish
set "DO=missing"
call :items
if defined ABORT goto :finish
if "%LEFT%"=="0" goto :crl_rounds
if "%OPTION%"=="partial" goto :crl_rounds
echo REFUSED: %LEFT% planned revocations are missing from the database. Apply first, or publish PARTIAL.
>>"%LOG%" echo @@CR refused missing
>>"%LOG%" echo @@CR end 3
exit /b 3

:crl_rounds
set "ROUND=0"
set "NUMBER=none"
:crl
set /a ROUND=ROUND+1
call :doubt
"%CERTUTIL%" -config "%CACONFIG%" -crl >> "%LOG%" 2>&1
set "RC=%ERRORLEVEL%"
>>"%LOG%" echo @@CR crl %ROUND% %RC%
if not "%RC%"=="0" echo FAILED: certutil -crl %RC%. See the log.
if not "%RC%"=="0" set "ABORT=crl"
call :fatal
if not "%RC%"=="0" goto :crl_save
if not defined LASTCRL goto :crl_save
set "NUMBER=unknown"
call :doubt
"%CERTUTIL%" -config "%CACONFIG%" -view -restrict "CRLNumber>%LASTCRL%" -out "CRLNumber" CRL > "%OUT%" 2>&1
set "RC=%ERRORLEVEL%"
if not "%RC%"=="0" goto :crl_save
"%FIND%" "CRLNumber" "%OUT%" >nul
if not "%ERRORLEVEL%"=="0" goto :crl_save
set "NUMBER=passed"
"%FIND%" "0x" "%OUT%" >nul
if "%ERRORLEVEL%"=="0" goto :crl_save
set "NUMBER=behind"
if %ROUND% LSS 20 goto :crl
:crl_save
>>"%LOG%" echo @@CR crl-number %NUMBER%
if "%NUMBER%"=="behind" echo The number of the CRL is still not above the last public one. Call publish again.
if "%NUMBER%"=="unknown" echo Whether the number of the CRL is above the last public one is not known. Hand the CRL to carecover verify.
if "%NUMBER%"=="behind" set /a STOPPED=STOPPED+1
if "%NUMBER%"=="unknown" set /a STOPPED=STOPPED+1
call :save "0"
goto :finish

:save
set "FILE=out\crl-%~1.crl"
if exist "%FILE%" del "%FILE%"
call :doubt
"%CERTUTIL%" -config "%CACONFIG%" -getcrl "%FILE%" %~1 >> "%LOG%" 2>&1
set "RC=%ERRORLEVEL%"
>>"%LOG%" echo @@CR getcrl %~1 %RC%
if not "%RC%"=="0" goto :unsaved
if exist "%FILE%" exit /b 0
:unsaved
echo The CRL was not saved: certutil -getcrl %RC%. Copy it from the CA by hand.
set /a STOPPED=STOPPED+1
exit /b 0

:database
if not defined NEWEST exit /b 0
set "WHY=baseline"
call :rows "RequestID=%NEWEST%"
if "%ANSWER%"=="failed" goto :database_failed
if "%ANSWER%"=="absent" set "REFUSED=1"
if "%ANSWER%"=="absent" exit /b 0
call :rows "RequestID>%NEWEST%,Disposition>=12,Disposition<=21"
if "%ANSWER%"=="failed" goto :database_failed
if "%ANSWER%"=="absent" exit /b 0
set "OWN=0"
set "SEEN=0"
set "DO=own"
call :items
if defined REFUSED goto :database_failed
set /a ID=NEWEST
set /a LAST=NEWEST+OWN+OWN+1000
:walk
set "WHY=uncounted"
if "%SEEN%"=="%OWN%" goto :walked
if %ID% GEQ %LAST% set "REFUSED=1"
if %ID% GEQ %LAST% exit /b 0
set /a ID=ID+1
call :rows "RequestID=%ID%,Disposition>=12,Disposition<=21"
if "%ANSWER%"=="failed" goto :database_failed
if "%ANSWER%"=="present" set /a SEEN=SEEN+1
goto :walk
:walked
set "WHY=issued"
call :rows "RequestID>%ID%,Disposition>=12,Disposition<=21"
if "%ANSWER%"=="failed" goto :database_failed
if "%ANSWER%"=="present" set "REFUSED=1"
exit /b 0
:database_failed
set "WHY=database"
set "REFUSED=1"
exit /b 0

:rows
set "ANSWER=failed"
call :doubt
"%CERTUTIL%" -config "%CACONFIG%" -view -restrict "%~1" -out "RequestID" > "%OUT%" 2>&1
set "RC=%ERRORLEVEL%"
if not "%RC%"=="0" exit /b 0
"%FIND%" "RequestID" "%OUT%" >nul
if not "%ERRORLEVEL%"=="0" exit /b 0
"%FIND%" "0x" "%OUT%" >nul
set "RC=%ERRORLEVEL%"
if "%RC%"=="1" set "ANSWER=absent"
if "%RC%"=="0" set "ANSWER=present"
exit /b 0

:finish
set "RESULT=0"
if not "%STOPPED%"=="0" set "RESULT=1"
if not "%LEFT%"=="0" set "RESULT=1"
if defined ABORT set "RESULT=5"
if defined ABORT echo ENDED EARLY: %ABORT%. README.txt says what that means. Mend it and call the same again: what is done will be skipped.
if defined ABORT >>"%LOG%" echo @@CR aborted %ABORT%
>>"%LOG%" echo @@CR end %RESULT% done=%DONE% skipped=%SKIPPED% stopped=%STOPPED% left=%LEFT%
echo %PHASE%: %DONE% done, %SKIPPED% were so already, %STOPPED% stopped, %LEFT% left.
if not "%RESULT%"=="0" echo What certutil said is in %LOG%.
exit /b %RESULT%

:refused
>>"%LOG%" echo @@CR refused %WHY%
>>"%LOG%" echo @@CR end 3
:unlogged
if "%WHY%"=="bundle" echo REFUSED: this is not the folder of the bundle, or its files are not of one bundle. Copy the whole folder to a local disk and run it there.
if "%WHY%"=="bits" echo REFUSED: this is a 32-bit command prompt. Open the command prompt of Windows itself, with Run as administrator.
if "%WHY%"=="busy" echo REFUSED: this bundle is running already in another window, or this folder cannot be written. Wait for the other run to end, or copy the whole folder to a local disk.
if "%WHY%"=="folder" echo REFUSED: the folders logs and work cannot be written. Is the disk full, or a file open elsewhere? What Windows said is in work/errors.txt.
if "%WHY%"=="elevation" echo REFUSED: not elevated. Open the command prompt with Run as administrator.
if "%WHY%"=="ca-answer" echo REFUSED: the CA did not hand out its certificate. Is the service running, and may this account ask it?
if "%WHY%"=="ca" echo REFUSED: this is another CA, or its certificate was renewed. It is not the one in ca.cer.
if "%WHY%"=="database" echo REFUSED: the database did not answer. Is the service running, and may this account read it?
if "%WHY%"=="baseline" echo REFUSED: the newest request of the baseline is not in this database. Is it the restored one?
if "%WHY%"=="issued" echo REFUSED: the CA has issued since the baseline was exported, or a certificate was imported by hand. Nothing was changed. Stop issuing; what to do is in README.txt.
if "%WHY%"=="uncounted" echo REFUSED: the new rows of the database could not be accounted for. Nothing was changed. What to do is in README.txt.
if "%WHY%"=="files" echo REFUSED: a certificate file of this bundle is missing or was changed. Write the bundle again.
exit /b 3

:item
set "ACTION=%~1"
set "N=%~2"
set "SERIAL=%~3"
set "S=%~3"
set "PAD=%~4"
set "REASON=%~5"
set "H=%~6"
set "FILE=%~7"
set "SHA=%~8"
set "SPACED=%~9"
set "DID="

if "%DO%"=="files" goto :files_item
if "%DO%"=="own" goto :own_item
if "%DO%"=="apply" goto :apply_item
if "%DO%"=="status" goto :status_item
if not "%ACTION%"=="revoke" exit /b 0
if defined ABORT exit /b 0
call :state
if "%STATE%"=="planned" exit /b 0
set /a LEFT=LEFT+1
>>"%LOG%" echo @@CR missing %N% %SERIAL% %STATE%
echo %N% %SERIAL% is not revoked as planned: %STATE%
exit /b 0

:files_item
if not defined FILE exit /b 0
if defined REFUSED exit /b 0
call :check_file
if "%ANSWER%"=="same" exit /b 0
>>"%LOG%" echo @@CR file %N% %SERIAL% %ANSWER%
echo %FILE% %ANSWER%
set "REFUSED=1"
exit /b 0

:own_item
if not defined FILE exit /b 0
if defined REFUSED exit /b 0
call :look
if "%ANSWER%"=="failed" set "REFUSED=1"
if not "%ANSWER%"=="present" exit /b 0
call :ask ",RequestID>%NEWEST%"
if "%ANSWER%"=="failed" set "REFUSED=1"
if "%ANSWER%"=="present" set /a OWN=OWN+1
exit /b 0

:status_item
if defined ABORT goto :item_left
call :state
if "%ACTION% %STATE%"=="revoke planned" goto :status_good
if "%ACTION% %STATE%"=="restore good" goto :status_good
>>"%LOG%" echo @@CR status %N% %SERIAL% %STATE%
echo %N% %SERIAL% is not as planned: %STATE%
set /a LEFT=LEFT+1
goto :status_view
:status_good
>>"%LOG%" echo @@CR status %N% %SERIAL% as-planned
set /a SKIPPED=SKIPPED+1
goto :status_view

:apply_item
if defined ABORT goto :item_left
if defined ENOUGH goto :item_left
call :state
if not "%STATE%"=="absent" goto :known
set "WHY=row-missing"
if not defined FILE goto :item_stopped
call :check_file
set "WHY=file-%ANSWER%"
if "%ANSWER%"=="failed" goto :item_failed
if not "%ANSWER%"=="same" goto :item_stopped
call :doubt
"%CERTUTIL%" -config "%CACONFIG%" -importcert "%FILE%" >> "%LOG%" 2>&1
set "RC=%ERRORLEVEL%"
set "RAN=%RC%"
>>"%LOG%" echo @@CR %N% %SERIAL% import %RC%
call :fatal
set "DID=1"
call :state
set "WHY=import"
if "%STATE%"=="absent" set "RC=%RAN%"
if "%STATE%"=="absent" goto :item_failed
:known
set "WHY=look"
if "%STATE%"=="failed" goto :item_failed
set "WHY=other-certificate"
if "%STATE%"=="other" goto :item_stopped
set "WHY=odd-state"
if "%STATE%"=="odd" goto :item_stopped
set "WHY=other-reason"
if "%STATE%"=="different" goto :item_stopped
if "%ACTION%"=="restore" goto :restore
if "%STATE%"=="planned" goto :item_done
if defined ABORT goto :aborted_item
call :doubt
"%CERTUTIL%" -config "%CACONFIG%" -revoke %S% %REASON% >> "%LOG%" 2>&1
set "RC=%ERRORLEVEL%"
set "RAN=%RC%"
>>"%LOG%" echo @@CR %N% %SERIAL% revoke %RC%
call :fatal
set "DID=1"
call :ask ",Disposition=21,Request.RevokedReason=%REASON%"
if "%ANSWER%"=="present" goto :item_done
set "WHY=revoke"
if not "%RAN%"=="0" set "RC=%RAN%"
goto :item_failed
:restore
set "WHY=on-hold"
if "%STATE%"=="held" goto :item_stopped
goto :item_done
:aborted_item
set "WHY=import"
set "RC=%RAN%"
goto :item_failed

:check_file
set "ANSWER=missing"
if not exist "%FILE%" exit /b 0
set "ANSWER=failed"
call :doubt
"%CERTUTIL%" -hashfile "%FILE%" SHA256 > "%OUT%" 2>&1
set "RC=%ERRORLEVEL%"
if not "%RC%"=="0" exit /b 0
set "ANSWER=same"
"%FIND%" "%SHA%" "%OUT%" >nul
if "%ERRORLEVEL%"=="0" exit /b 0
"%FIND%" "%SPACED%" "%OUT%" >nul
if "%ERRORLEVEL%"=="0" exit /b 0
set "ANSWER=changed"
exit /b 0

:status_view
call :doubt
"%CERTUTIL%" -config "%CACONFIG%" -view -restrict "SerialNumber=%S%" -out "RequestID,SerialNumber,Request.Disposition,Request.RevokedReason,CertificateHash" >> "%VIEW%" 2>&1
set "RC=%ERRORLEVEL%"
if "%RC%"=="0" exit /b 0
>>"%LOG%" echo @@CR view %N% %SERIAL% %RC%
echo %N% %SERIAL% was not written to %VIEW%: %RC%
set /a STOPPED=STOPPED+1
exit /b 0

:item_done
set "STEP=already"
if defined DID set "STEP=done"
>>"%LOG%" echo @@CR %N% %SERIAL% %STEP% 0
echo %N% %SERIAL% %STEP%
set "FAILS=0"
if not defined DID set /a SKIPPED=SKIPPED+1
if defined DID set /a DONE=DONE+1
if defined DID call :one
exit /b 0

:item_stopped
set "RC=1"
>>"%LOG%" echo @@CR %N% %SERIAL% stopped-%WHY% %RC%
echo %N% %SERIAL% STOPPED: %WHY%
set /a STOPPED=STOPPED+1
if defined DID call :one
exit /b 0

:item_failed
if "%RC%"=="0" set "RC=1"
>>"%LOG%" echo @@CR %N% %SERIAL% failed-%WHY% %RC%
echo %N% %SERIAL% FAILED: %WHY% %RC%
set /a STOPPED=STOPPED+1
set /a FAILS=FAILS+1
if defined ABORT exit /b 0
if %FAILS% GEQ 3 set "ABORT=3-failures-in-a-row"
call :one
exit /b 0

:item_left
set /a LEFT=LEFT+1
exit /b 0

:one
if "%OPTION%"=="first" set "ENOUGH=1"
exit /b 0

:state
call :look
set "STATE=%ANSWER%"
if not "%ANSWER%"=="present" exit /b 0
call :ask ",Disposition=20"
set "STATE=good"
if "%ANSWER%"=="present" exit /b 0
set "STATE=failed"
if not "%ANSWER%"=="absent" exit /b 0
if not defined REASON goto :state_held
call :ask ",Disposition=21,Request.RevokedReason=%REASON%"
set "STATE=planned"
if "%ANSWER%"=="present" exit /b 0
set "STATE=failed"
if not "%ANSWER%"=="absent" exit /b 0
:state_held
call :ask ",Disposition=21,Request.RevokedReason=6"
set "STATE=held"
if "%ANSWER%"=="present" exit /b 0
set "STATE=failed"
if not "%ANSWER%"=="absent" exit /b 0
call :ask ",Disposition=21"
set "STATE=different"
if "%ANSWER%"=="present" exit /b 0
set "STATE=failed"
if not "%ANSWER%"=="absent" exit /b 0
set "STATE=odd"
exit /b 0

:look
call :ask
if not "%ANSWER%"=="absent" exit /b 0
if not defined PAD exit /b 0
set "S=%PAD%%SERIAL%"
call :ask
if not "%ANSWER%"=="absent" exit /b 0
set "S=%SERIAL%"
exit /b 0

:ask
set "MORE=%~1"
set "ANSWER=failed"
call :doubt
"%CERTUTIL%" -config "%CACONFIG%" -view -restrict "SerialNumber=%S%%MORE%" -out "SerialNumber,CertificateHash" > "%OUT%" 2>&1
set "RC=%ERRORLEVEL%"
if not "%RC%"=="0" goto :fatal
"%FIND%" "SerialNumber" "%OUT%" >nul
set "RC=%ERRORLEVEL%"
if not "%RC%"=="0" exit /b 0
"%FIND%" """%S%""" "%OUT%" >nul
set "RC=%ERRORLEVEL%"
if "%RC%"=="1" set "ANSWER=absent"
if not "%RC%"=="0" exit /b 0
set "ANSWER=present"
if not defined H exit /b 0
"%FIND%" "%H%" "%OUT%" >nul
set "RC=%ERRORLEVEL%"
if "%RC%"=="0" exit /b 0
set "ANSWER=failed"
if "%RC%"=="1" set "ANSWER=other"
exit /b 0

:fatal
if "%RC%"=="-2147023174" set "ABORT=rpc-unavailable"
if "%RC%"=="-2147024891" set "ABORT=access-denied"
exit /b 0

:doubt
exit /b 1

:items
call :item "revoke" "1" "440000000a178d21c3ed6a457500000000000a" "" "4" "ab ab ab ab ab ab ab ab ab ab ab ab ab ab ab ab ab ab ab ab" "" "" ""
call :item "revoke" "2" "440000000b178d21c3ed6a457500000000000b" "" "6" "" "" "" ""
call :item "revoke" "3" "4400000014178d21c3ed6a4575000000000014" "" "1" "f3 50 a5 c0 1c 46 13 c4 4a 1c b1 bc c7 fb ac 1e 57 8c 2f 65" "dummies\4400000014178d21c3ed6a4575000000000014.cer" "55ce9028dfc7a5299f9122e2e3fc19d7823e9b9db5b52042c501ba2505eb70e8" "55 ce 90 28 df c7 a5 29 9f 91 22 e2 e3 fc 19 d7 82 3e 9b 9d b5 b5 20 42 c5 01 ba 25 05 eb 70 e8"
call :item "revoke" "4" "f000000014178d21c3ed6a4575000000000014" "00" "0" "1f 0e 54 3b 64 8e 88 97 38 58 8e 10 23 f2 c6 86 00 0c 75 23" "dummies\f000000014178d21c3ed6a4575000000000014.cer" "0e256501cec4fecc8c1a19d752b72aae29616a8b39542a9764391f3f35aab533" "0e 25 65 01 ce c4 fe cc 8c 1a 19 d7 52 b7 2a ae 29 61 6a 8b 39 54 2a 97 64 39 1f 3f 35 aa b5 33"
call :item "restore" "5" "4400000016378d21c3ed6a4575000000000016" "" "" "e0 e3 c6 55 74 7e 64 59 d2 97 b0 70 c0 19 85 8b 48 e0 07 25" "certs\4400000016378d21c3ed6a4575000000000016.cer" "d166126244c3f14b9ac327bc047ba02c712e27954176951b776f19e8a31318dc" "d1 66 12 62 44 c3 f1 4b 9a c3 27 bc 04 7b a0 2c 71 2e 27 95 41 76 95 1b 77 6f 19 e8 a3 13 18 dc"
exit /b 0
