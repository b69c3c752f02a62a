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

if /i "%~1"=="GO" set "OPTION=go"
if /i "%~1"=="FIRST" set "OPTION=first"
if "%OPTION%"=="unknown" goto :usage
if not "%~2"=="" goto :usage
set "PHASE=prepare"
goto :alone

:usage
echo prepare.cmd FIRST signs one dummy certificate and stops. Stay at the screen: a dialog may open.
echo prepare.cmd GO signs all that are not there yet.
echo It uses the key of the CA and changes nothing in its database.
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

if not exist "dummies" mkdir "dummies"
call :sign "3" "4400000014178d21c3ed6a4575000000000014" "1122334455667788" "dummies\4400000014178d21c3ed6a4575000000000014.cer"
call :sign "4" "f000000014178d21c3ed6a4575000000000014" "1122334455667788" "dummies\f000000014178d21c3ed6a4575000000000014.cer"
goto :finish

:sign
set "N=%~1"
set "SERIAL=%~2"
set "SIGNER=%~3"
set "FILE=%~4"
set "DID="
if defined ABORT goto :item_left
if defined ENOUGH goto :item_left
if exist "%FILE%" goto :item_done
set "DID=1"
call :doubt
"%CERTUTIL%" -Cert %SIGNER% -sign %SERIAL% "%FILE%" >> "%LOG%" 2>&1
set "RC=%ERRORLEVEL%"
>>"%LOG%" echo @@CR %N% %SERIAL% sign %RC%
call :fatal
set "WHY=sign"
if not "%RC%"=="0" goto :item_failed
if not exist "%FILE%" goto :item_failed
goto :item_done

:fatal
if "%RC%"=="-2147023174" set "ABORT=rpc-unavailable"
if "%RC%"=="-2147024891" set "ABORT=access-denied"
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

:doubt
exit /b 1
